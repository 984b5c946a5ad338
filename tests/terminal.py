"""The command `vsr` run in this process, with what a terminal would get of it."""

from vsr_kit import cli


def command(monkeypatch, capsys, *words) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; a traceback comes through."""
    monkeypatch.setattr("sys.argv", ["vsr", *map(str, words)])
    capsys.readouterr()
    try:
        cli.main()
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    said = capsys.readouterr()
    return code, said.out, said.err
