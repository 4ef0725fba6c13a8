"""The servers that tests start on loopback, each once for the whole session and only if a test asks for it."""

pytest_plugins = ["tests.s3_servers", "tests.azurite"]
