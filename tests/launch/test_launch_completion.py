"""Scripts that complete command lines."""

import subprocess

from liftnet.__main__ import main

SETTING = "match --work --search.matcher ex"


def test_bash_completes_commands_options_and_files(tmp_path, capsys):
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "liftnet.bash"
    script.write_text(capsys.readouterr().out)
    asked = 'source "$1"; COMP_WORDS=(liftnet {words}); COMP_CWORD={at}; _shtab_liftnet; echo "${{COMPREPLY[*]}}"'
    for words, at, expected in (
        ("res", 1, "resume"),
        ("drkfs sc", 2, "score"),
        ("run --dr", 2, "--dry-run"),
        (SETTING, 4, "exact"),
    ):
        line = asked.format(words=words, at=at)
        done = subprocess.run(["bash", "-c", line, "bash", str(script)], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [expected]
