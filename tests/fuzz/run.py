"""Searches each reader for bytes that bring it down: ``make fuzz MINUTES=5``, or ``HARNESS=index``.

Each is a process of its own, as the fuzzer ends with what it finds. What it learns stays in ``.fuzz``, and it goes on
from there; what brings a reader down is left there as a file. Slow counts as down: more than ten seconds.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tablesnap"]):
    from tests.fuzz.seeds import DICTIONARY, SEEDS

ROOT = Path(__file__).parent.parent.parent / ".fuzz"
LIMITS = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=20000", "-verbosity=0", "-print_final_stats=1"]


def main(minutes: float, only: str) -> int:
    failed = []
    for name in [only] if only else SEEDS:
        sys.stdout.write(f"\n{name}, for {minutes:g} minutes:\n")
        sys.stdout.flush()
        command = [sys.executable, "-m", "tests.fuzz.run", "--one", name, f"-max_total_time={int(minutes * 60)}"]
        if subprocess.run([*command, *LIMITS]).returncode:
            failed.append(name)
    sys.stdout.write(f"\nbrought down: {', '.join(failed) or 'none'}\n")
    return 1 if failed else 0


def one(name: str, arguments: list[str]) -> None:
    harness, seeds = SEEDS[name]
    corpus, found, words = ROOT / name / "corpus", ROOT / name / "found", ROOT / "dictionary"
    for directory in (corpus, found):
        directory.mkdir(parents=True, exist_ok=True)
    for seed in seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in dict.fromkeys(DICTIONARY) if 0 < len(word) < 60))
    atheris.Setup([name, *arguments, f"-dict={words}", f"-artifact_prefix={found}/", str(corpus)], harness)
    atheris.Fuzz()


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode("utf-8", "surrogatepass"))


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        one(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main(float(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
