"""The documentation's pages, their code blocks and links. docs/README.md has the convention of the blocks."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
DOCS: Final = ROOT / "docs"
_READY_SECONDS: Final = 60.0
_COMMAND_SECONDS: Final = 90.0
_fence: Final = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})(?P<info>[^`]*)$")
_heading: Final = re.compile(r"^(#{1,6})\s+(?P<text>.+?)\s*#*$")
_link: Final = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\])*\]\((?P<target>[^()\s]+)\)")
_span: Final = re.compile(r"(?<!`)`(?P<code>[^`\n]+)`(?!`)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block. `words` are those of its info string: the language, then what the tests do with it."""

    page: Path
    line: int
    words: tuple[str, ...]
    text: str

    @property
    def language(self) -> str:
        return self.words[0] if self.words else ""

    def option(self, name: str) -> str | None:
        """The value of ``name=value`` in the info string."""
        return next((word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page: its blocks, and its prose (what is left without the blocks)."""

    path: Path
    blocks: tuple[Block, ...]
    prose: str

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def links(self) -> list[str]:
        return [found["target"] for found in _link.finditer(_span.sub("", self.prose))]

    @property
    def code_spans(self) -> list[str]:
        return [found["code"] for found in _span.finditer(self.prose)]

    @property
    def anchors(self) -> set[str]:
        """The anchors of its headings, as GitHub makes them."""
        texts = [found["text"] for line in self.prose.splitlines() if (found := _heading.match(line))]
        return {_anchor(text) for text in texts}


def pages() -> list[Page]:
    """Every page of the documentation, and those of the project's root and examples."""
    found = [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return [read_page(path) for path in sorted(found)]


def read_page(path: Path) -> Page:
    """Parse a page.

    Raises:
        ValueError: A fence is not closed.
    """
    blocks: list[Block] = []
    prose: list[str] = []
    lines = iter(enumerate(path.read_text(encoding="utf-8").splitlines(), start=1))
    for number, line in lines:
        opening = _fence.match(line)
        if opening is None:
            prose.append(line)
            continue
        inside: list[str] = []
        for _, content in lines:
            if content.strip() == opening["fence"]:
                break
            inside.append(content.removeprefix(opening["indent"]))
        else:
            message = f"{path}: the fence of line {number} is not closed"
            raise ValueError(message)
        words = tuple(opening["info"].split())
        blocks.append(Block(page=path, line=number, words=words, text="\n".join(inside) + "\n"))
    return Page(path=path, blocks=tuple(blocks), prose="\n".join(prose))


def _anchor(heading: str) -> str:
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a console block, and the output that the page shows."""

    text: str
    output: str


def commands_of(block: Block) -> Iterator[Command]:
    """The commands of a console block: lines after ``$``, gone on after ``>``."""
    text: str | None = None
    output: list[str] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            if text is not None:
                yield Command(text, "\n".join(output))
            text, output = line[2:], []
        elif text is not None and not output and line.startswith("> "):
            text += "\n" + line[2:]
        else:
            output.append(line)
    if text is not None:
        yield Command(text, "\n".join(output))


def agrees(shown: str, actual: str) -> bool:
    """Whether an output is what a page shows: blanks alike, ``…`` for any text, alone on a line for any lines."""
    lines = [re.sub(r"\s+", " ", line).strip() for line in shown.strip().splitlines()]
    parts = [r"(?:.*\n)*?" if line == "…" else _line_pattern(line) + r"\n" for line in lines]
    plain = "".join(re.sub(r"[^\S\n]+", " ", line).strip() + "\n" for line in actual.strip().splitlines())
    return re.fullmatch("".join(parts), plain) is not None


def _line_pattern(line: str) -> str:
    return r"[^\n]*".join(re.escape(part) for part in line.split("…"))


@dataclass(slots=True, kw_only=True)
class Shell:
    """Runs a page's commands in its folder, one after another; directory and exported variables last."""

    folder: Path
    environment: Mapping[str, str]
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def run(self, command: str) -> tuple[int, str]:
        """Run one command to its end; return its exit status, and what it printed."""
        state = self.folder / ".shell-state"
        script = f"[ -f {shlex.quote(str(state))} ] && . {shlex.quote(str(state))}\n{command}\nstatus=$?\n"
        script += f'{{ export -p; printf "cd %q\\n" "$PWD"; }} > {shlex.quote(str(state))}\nexit $status\n'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout

    def start(self, command: str, shown: str) -> None:
        """Start a command that goes on running, and wait until it has printed what the page shows."""
        process = subprocess.Popen(
            shlex.split(command),
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.running.append(process)
        assert process.stdout is not None, "it is a pipe"
        printed = ""
        give_up_at = time.monotonic() + _READY_SECONDS
        while not agrees(shown, printed) and time.monotonic() < give_up_at:
            line = process.stdout.readline()
            assert line, f"{command} ended: {printed}"
            printed += line
        assert agrees(shown, printed), printed

    def end(self) -> None:
        """End what goes on running."""
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def environment(folder: Path) -> dict[str, str]:
    """The variables of a page's commands: this Python first on the path, nothing of the developer's own."""
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR", "CI", "ASHORE_DYNAMODB_LOCAL") if name in os.environ}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONUNBUFFERED": "1",  # so that stdout and stderr come in the order in which a terminal shows them
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "TZ": "UTC",
    }


def run_page(page: Page, folder: Path) -> int:
    """Run a page's commands in order, with its files; return how many were run.

    Raises:
        AssertionError: One ended otherwise, or printed something else, than the page shows.
    """
    shell = Shell(folder=folder, environment=environment(folder))
    written: set[str] = set()
    number = 0
    try:
        for block in page.blocks:
            where = f"{page.name} line {block.line}"
            file = block.option("file")
            if file is not None:
                content = (f"{(folder / file).read_text(encoding='utf-8')}\n\n" if file in written else "") + block.text
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_text(content, encoding="utf-8")
                written.add(file)
            elif block.words[:2] == ("console", "stays"):
                for command in commands_of(block):
                    shell.start(command.text, command.output)
            elif block.words[:2] == ("console", "run"):
                expected = int(block.option("exit") or 0)
                for command in commands_of(block):
                    status, printed = shell.run(command.text)
                    assert expected == status, f"{where}: {command.text}\nexit status {status}\n{printed}"
                    assert agrees(command.output, printed), (
                        f"{where}: {command.text}\n--- shown\n{command.output}\n--- printed\n{printed}"
                    )
                    number += 1
    finally:
        shell.end()
    return number
