import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;

import org.apache.cassandra.tools.INodeProbeFactory;
import org.apache.cassandra.tools.NodeProbe;
import org.apache.cassandra.tools.NodeTool;
import org.apache.cassandra.tools.Output;

/**
 * nodetool that stays: a line of arguments in, parted by tabs; out, a line with the exit code and the number of bytes
 * of output, then those bytes. A JVM of its own for each call would cost half a second.
 */
public class Nodetool
{
    private static final PrintStream replies = System.out;
    private static volatile ByteArrayOutputStream said;

    public static void main(String[] none) throws IOException
    {
        System.setOut(System.err);
        // A command that fails may end the process, and has said why.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> reply(1)));
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine())
        {
            said = new ByteArrayOutputStream();
            PrintStream stream = new PrintStream(said, true);
            int code = new NodeTool(new Probes(), new Output(stream, stream)).execute(line.split("\t"));
            reply(code);
        }
    }

    private static void reply(int code)
    {
        ByteArrayOutputStream all = said;
        said = null;
        if (all == null)
            return;
        replies.println(code + " " + all.size());
        replies.write(all.toByteArray(), 0, all.size());
        replies.flush();
    }

    private static class Probes implements INodeProbeFactory
    {
        public NodeProbe create(String host, int port) throws IOException
        {
            return new NodeProbe(host, port);
        }

        public NodeProbe create(String host, int port, String user, String password) throws IOException
        {
            return new NodeProbe(host, port, user, password);
        }
    }
}
