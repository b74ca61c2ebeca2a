"""Test the completion: the candidates for a line, and their use by three shells."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bmfgraph.cli.completion import answer, complete
from bmfgraph.cli.completion.shells import Answer
from bmfgraph.cli.help import VERBS
from bmfgraph.cli.main import main
from bmfgraph.config.overrides import packaged_options
from bmfgraph.errors import ConfigError
from tests.cli.flags import flags_of

SCRIPTS = Path(sys.executable).parent
"""Where the command ``bmfgraph`` is installed."""
ENGINES = {f"engine={name}" for name in ("bf16", "fp16", "fp32", "int8", "tf32")}
LINES = [
    ("bmfgraph chec", {"check"}),
    ("bmfgraph check pipe", {"pipeline="}),
    ("bmfgraph check pipeline=super_resolution engine=", ENGINES),
    ("bmfgraph plan --", {*flags_of("plan"), "--help", "--config-dir"}),
    ("bmfgraph engine.ba", {"engine.batch="}),
    ("bmfgraph input=cl", {"input=clip.mp4"}),
    ("bmfgraph --config-dir n", {"new/"}),
]
"""Lines, and the candidates for their last word."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a clip, a text and a folder; the program is on PATH."""
    for name in ("clip.mp4", "notes.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def words(line: str) -> set[str]:
    return set(answer(line).words)


# ------------------------------------------------------------------------------------------------------- the answers


def test_the_first_word_is_a_verb_or_a_key() -> None:
    found = answer("bmfgraph ").words
    assert found["check"] == VERBS["check"]
    assert {*VERBS, "pipeline=", "engine=", "engine.", "input=", "device="} <= set(found)
    assert words("bmfgraph d") == {"doctor", "device=", "debug=", "decoder=", "decoder."}
    assert words("/some/where/bmfgraph repo") == {"report", "report="}
    assert words("bmfgraph check d") == words("bmfgraph d") - {"doctor"}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (
            "bmfgraph pipeline=",
            {f"pipeline={name}" for name in packaged_options("pipeline")},
        ),
        ("bmfgraph run pipeline=f", {"pipeline=face_detection"}),
        ("bmfgraph -m engine=fp32,fp", {"engine=fp32,fp32", "engine=fp32,fp16"}),
        ("bmfgraph engine=fp16 engine.p", {"engine.path=", "engine.precision=", "engine.profiles=", "engine.python="}),
        ("bmfgraph engine.runtime=ten", {"engine.runtime=tensorrt", "engine.runtime=tensorrt_rtx"}),
        ("bmfgraph ++engine.cuda_graph=", {"++engine.cuda_graph=true", "++engine.cuda_graph=false"}),
        ("bmfgraph engine.batch=", {"engine.batch=1"}),
        ("bmfgraph engine.threads=", set()),
        ("bmfgraph device=", {"device=auto", "device=cpu", "device=cuda"}),
        ("bmfgraph progress=", {"progress=true", "progress=false"}),
        ("bmfgraph encoder=vp9 encoder.codec=x", {"encoder.codec=x264", "encoder.codec=x265"}),
        ("bmfgraph decoder=nvdec decoder.", {f"decoder.{name}=" for name in ("start", "end", "video", "audio")}),
        ("bmfgraph no.such.", set()),
        ("bmfgraph no.such=", set()),
        ("bmfgraph pipeline=nothing engine.ba", {"engine.batch="}),
        ("bmfgraph pipeline=nothing dev", set()),
    ],
)
def test_keys_and_values(line: str, found: set[str]) -> None:
    if line.endswith("decoder."):
        assert found <= words(line)
    else:
        assert words(line) == found


def test_fields_of_nodes_are_those_of_their_kind() -> None:
    begin = "bmfgraph plan pipeline=face_detection"
    assert words(f"{begin} pipeline.nodes.d") == {"pipeline.nodes.detect.", "pipeline.nodes.draw."}
    sink = answer(f"{begin} pipeline.nodes.sink.").words
    assert sink["pipeline.nodes.sink.crf="].startswith("Constant quality")
    assert "pipeline.nodes.sink.use." not in sink
    assert words(f"{begin} pipeline.nodes.detect.engine.ba") == {"pipeline.nodes.detect.engine.batch="}
    assert words(f"{begin} pipeline.nodes.prepare.fit=l") == {"pipeline.nodes.prepare.fit=letterbox"}
    # The kind comes from the group.
    assert words(f"{begin} decoder=nvdec pipeline.nodes.source.st") == {"pipeline.nodes.source.start="}


def test_what_was_given_is_not_offered_again() -> None:
    assert words("bmfgraph pipeline=super_resolution pi") == {"pipeline."}
    assert words("bmfgraph input=a.mp4 in") == set()
    assert "--json" not in words("bmfgraph plan --json --")


def test_a_model_that_lacks_its_file() -> None:
    assert words("bmfgraph pipeline=super_resolution model=bmf_v1 model.fi") == {"model.file="}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("bmfgraph input=", Answer("input=", kind="files")),
        ("bmfgraph run model.file=a/b", Answer("model.file=", kind="files", name="a/b")),
        ("bmfgraph 'input=a b", Answer("input=", kind="files", name="a b")),
        ("bmfgraph \"input=it's", Answer("input=", kind="files", name="it's")),
        (r"bmfgraph output=a\ b", Answer("output=", kind="files", name="a b")),
        ("bmfgraph plan pipeline.nodes.sink.path=x", Answer("pipeline.nodes.sink.path=", kind="files", name="x")),
        ("bmfgraph engine.store=", Answer("engine.store=", kind="folders")),
        ("bmfgraph plan --png --output p", Answer("", kind="files", name="p")),
        ("bmfgraph --config-dir ", Answer("", kind="folders")),
        ("bmfgraph engines list --store e", Answer("", kind="folders", name="e")),
        ("bmfgraph report outputs/", Answer("", kind="folders", name="outputs/")),
    ],
)
def test_names_of_files(line: str, found: Answer) -> None:
    assert answer(line) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("bmfgraph doctor --", {"--json", "--help"}),
        ("bmfgraph doctor ", set()),
        ("bmfgraph schema --", {"--installed", "--help"}),
        ("bmfgraph engines ", {"list", "show", "prune", "verify"}),
        ("bmfgraph engines --store e v", {"verify"}),
        ("bmfgraph engines list ", set()),
        ("bmfgraph plan d", {"diff", "device=", "debug=", "decoder=", "decoder."}),
        ("bmfgraph plan --json dif", {"diff"}),
        ("bmfgraph check --js", {"--json"}),
        ("bmfgraph build --js", set()),
        ("bmfgraph --cfg ", {"job", "hydra", "all"}),
        ("bmfgraph --mu", {"--multirun"}),
        ("bmfgraph --shell-completion i", {f"install={shell}" for shell in ("bash", "fish", "zsh")}),
    ],
)
def test_flags_and_words_of_verbs(line: str, found: set[str]) -> None:
    assert words(line) == found


@pytest.mark.parametrize("verb", ["doctor", "engines list", "engines prune", "report", "schema"])
def test_flags_are_those_of_the_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*verb.split(), "--help"])
    told = capsys.readouterr().out.partition("examples")[0]
    assert words(f"bmfgraph {verb} --") == {*re.findall("--[a-z-]+", told), "--help"}


def test_engines_of_the_store(here: Path) -> None:
    for model, key in (("net", "12ab"), ("net", "34cd"), ("other", "12ef")):
        (here / "engines" / model / key).mkdir(parents=True)
    assert answer("bmfgraph engines show 12").words == {"12ab": "net", "12ef": "other"}
    assert words("bmfgraph engines prune --model ") == {"net", "other"}
    assert words("bmfgraph engines --store elsewhere show ") == set()


def test_options_of_the_users_own_folder(here: Path) -> None:
    (here / "new" / "model").mkdir()
    (here / "new" / "model" / "mine.yaml").write_text(
        "# yaml-language-server: x\n# A network.\nname: mine\nsource: x\n"
    )
    found = answer("bmfgraph --config-dir new pipeline=super_resolution model=m").words
    assert found == {"model=mine": "A network."}
    assert words("bmfgraph -cd new pipeline=super_resolution model=mine model.wi") == {"model.window."}


@pytest.mark.parametrize("asked", ["", "bash", "install=tcsh", "instal=bash", "query"])
def test_a_shell_that_is_not_known(asked: str) -> None:
    with pytest.raises(ConfigError, match="shells: bash, fish, zsh"):
        complete(asked)


# -------------------------------------------------------------------------------------------------------- the shells

# In both Ctrl-T prints the line as it is now.
BASH = """
eval "$(bmfgraph --shell-completion install=bash)"
bind 'set show-all-if-ambiguous on'
bind 'set page-completions off'
bind -x '"\\C-t": printf "<<%s>>" "$READLINE_LINE"'
PS1='READY> '
"""
ZSH = """
eval "$(bmfgraph --shell-completion install=zsh)"
seen() { printf '<<%s>>' "$BUFFER" }
zle -N seen
bindkey -e
bindkey '^T' seen
PS1='READY> '
"""


@dataclass
class Terminal:
    """A shell at the other end of a terminal."""

    file: int
    read: str = ""

    def until(self, end: str) -> str:
        """What is printed up to that text."""
        limit = time.monotonic() + 60
        while end not in self.read:
            assert time.monotonic() < limit, f"{end!r} does not come: {self.read!r}"
            if select.select([self.file], [], [], 1)[0]:
                self.read += os.read(self.file, 65536).decode(errors="replace")
        found, _, self.read = self.read.partition(end)
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", found)

    def tab(self, line: str) -> tuple[str, str]:
        """What a tab at the end of the line prints, and the line after it."""
        os.write(self.file, f"{line}\t\x14".encode())
        shown, now = self.until("<<"), self.until(">>")
        os.write(self.file, b"\x15")
        return shown, now


@pytest.fixture
def terminal(here: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts a shell in a terminal, ``terminal("zsh", "-i")``, and waits for its prompt."""
    with contextlib.ExitStack() as stack:

        def start(*command: str) -> Terminal:
            if shutil.which(command[0]) is None:
                pytest.skip(f"{command[0]} is not installed")
            ours, end = pty.openpty()
            stack.callback(os.close, ours)
            fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
            environment = {**os.environ, "TERM": "dumb", "ZDOTDIR": str(here), "HOME": str(here)}
            # A shell wants to own its terminal.
            shell = subprocess.Popen(["setsid", "--ctty", *command], stdin=end, stdout=end, stderr=end, env=environment)
            os.close(end)
            stack.enter_context(shell)
            stack.callback(shell.kill)
            found = Terminal(ours)
            found.until("READY> ")
            return found

        yield start


def check(terminal: Terminal, line: str, found: set[str]) -> None:
    """That a tab completes the line's last word if it goes on in one way, and shows all ways if in several."""
    shown, now = terminal.tab(line)
    start, _, _ = line.rpartition(" ")
    if len(found) == 1:
        [word] = found
        assert now == f"{start} {word}" + ("" if word[-1] in "=/." else " ")
    else:
        assert now == line
        # Bash shows the part after = only.
        assert {word.rpartition("=")[2] for word in found} <= set(re.split(r"[\s=]+", shown)), shown


@pytest.mark.sample(1)
@pytest.mark.parametrize("lines", [LINES[:2], LINES[2:]], ids=["some", "others"])
def test_bash(terminal: Callable[..., Terminal], here: Path, lines: Sequence[tuple[str, set[str]]]) -> None:
    (here / "rc").write_text(BASH)
    bash = terminal("bash", "--noprofile", "--rcfile", "rc", "-i")
    for line, found in lines:
        check(bash, line, found)
    assert bash.tab("FOO=1 bmfgraph input=ne")[1] == "FOO=1 bmfgraph input=new/"
    # As some programs leave it.
    os.write(bash.file, b"COMP_WORDBREAKS=${COMP_WORDBREAKS//=}\n")
    bash.until("READY> ")
    assert bash.tab("bmfgraph pipeline=super")[1] == "bmfgraph pipeline=super_resolution "
    assert bash.tab("bmfgraph input=cl")[1] == "bmfgraph input=clip.mp4 "
    assert bash.tab("bmfgraph 'input=cl")[1] == "bmfgraph 'input=clip.mp4' "


def test_zsh(terminal: Callable[..., Terminal], here: Path) -> None:
    (here / ".zshrc").write_text(ZSH)
    zsh = terminal("zsh", "-d", "-i")
    for line, found in LINES:
        check(zsh, line, found)
    assert zsh.tab("bmfgraph 'input=cl")[1] == "bmfgraph 'input=clip.mp4' "


def test_fish(here: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    (here / "two words.mp4").write_text("")
    lines = [*LINES, (r"bmfgraph input=two\ w", {"input=two words.mp4"}), ("bmfgraph 'input=cl", {"input=clip.mp4"})]
    asked = "".join(f"complete -C {quoted(line)}; echo; echo -\n" for line, _ in lines)
    script = f"bmfgraph --shell-completion install=fish | source\n{asked}"
    environment = {**os.environ, "HOME": str(here)}
    done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, env=environment)
    assert done.stderr == ""
    for (line, found), told in zip(lines, done.stdout.split("\n-\n"), strict=False):
        words = {one.partition("\t")[0] for one in told.splitlines() if one}
        assert found <= words if line.endswith("--") else words == found, line


def quoted(line: str) -> str:
    """As one word of fish's."""
    return "'" + line.replace("\\", "\\\\").replace("'", "\\'") + "'"


@pytest.mark.parametrize(
    ("shell", "known", "forgotten"),
    [
        ("bash", "complete -p bmfgraph", "complete -p bmfgraph; declare -F _bmfgraph"),
        ("zsh", "print $_comps[bmfgraph]", "print $_comps[bmfgraph]; functions _bmfgraph"),
        ("fish", "complete -c bmfgraph", "complete -c bmfgraph; functions __bmfgraph_complete"),
    ],
)
def test_what_is_installed_is_uninstalled(shell: str, known: str, forgotten: str, here: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    ask = "bmfgraph --shell-completion"
    do = f"{ask} %s=fish | source" if shell == "fish" else f'eval "$({ask} %s={shell})"'
    script = f"{do % 'install'}\n{known}\necho -\n{do % 'uninstall'}\n{forgotten}\n"
    command = [shell, *{"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell], "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "ZDOTDIR": str(here)})
    before, _, after = done.stdout.partition("-\n")
    assert "bmfgraph" in before
    assert after.strip() == "", done.stderr
