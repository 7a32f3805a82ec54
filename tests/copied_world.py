"""Tasks of the small world, which have copies and mirrors; and what DynamoDB is to hold of them, worked out anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, str]
Item = dict[str, Any]
COLUMNS = {"title": "title", "done_by": "doneBy", "done_at": "doneAt"}


@dataclass
class Task:
    """A row: its columns, what is in `extra`, and its steps."""

    id: str
    project: str
    columns: dict[str, str | None] = field(default_factory=lambda: dict.fromkeys(COLUMNS))
    extra: dict[str, str] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    own_key: Key | None = None

    @property
    def key(self) -> Key:
        """Its own, where it is a promoted copy."""
        return self.own_key or (f"project|{self.project}", f"task|{self.id}")

    @property
    def body(self) -> Item:
        """The item without its key."""
        item: Item = {COLUMNS[name]: {"S": value} for name, value in self.columns.items() if value is not None}
        item |= {name: {"S": value} for name, value in self.extra.items()}
        item |= {"taskRef": {"S": f"task|{self.id}"}, "projectId": {"S": self.project}}
        if self.columns["title"] is not None:
            item["headline"] = {"S": f"{self.project}: {self.columns['title']}"}
        if self.steps:
            item["steps"] = {"L": [{"M": {"words": {"S": words}}} for words in self.steps]}
        return item

    @property
    def done(self) -> Key | None:
        """The key of its copy among what somebody has done."""
        by, at = self.columns["done_by"], self.columns["done_at"]
        return None if by is None or at is None else (f"done|{by}", at)

    @property
    def mirror(self) -> dict[Key, Item]:
        title, by = self.columns["title"], self.columns["done_by"]
        if title is None:
            return {}
        item = {"task": {"S": f"task|{self.id}"}} | ({} if by is None else {"doneBy": {"S": by}})
        return {(f"title|{title}", self.id): item}


class Model:
    """What DynamoDB holds, if each statement were written back at once. `copies`: key → whose it is, and its body."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.copies: dict[Key, tuple[str, Item]] = {}

    @property
    def items(self) -> dict[Key, Item]:
        """All of them, whole."""
        bodies = {key: body for key, (_, body) in self.copies.items()}
        for task in self.tasks.values():
            bodies |= task.mirror | {task.key: task.body}
        return {key: {"pk": {"S": key[0]}, "sk": {"S": key[1]}, **body} for key, body in bodies.items()}

    def insert(self, task: Task) -> None:
        self.tasks[task.id] = task
        self._done(task)

    def delete(self, name: str) -> None:
        del self.tasks[name]
        self.copies = {key: (of, body) for key, (of, body) in self.copies.items() if of != name}

    def rename(self, name: str, to: str) -> None:
        """Another primary key is another row."""
        task = self.tasks[name]
        self.delete(name)
        self.insert(Task(to, task.project, task.columns, task.extra, task.steps))

    def update(self, name: str, **values: Any) -> None:
        """Set columns, `project`, `extra` or `steps` of a row, to what they are already or to something else."""
        task = self.tasks[name]
        before, was = task.body, task.done
        for one, value in values.items():
            if one in COLUMNS:
                task.columns[one] = value
            else:
                task.own_key = None if one == "project" and value != task.project else task.own_key
                setattr(task, one, value)
        after = task.body
        changed = {one for one in before.keys() | after.keys() if before.get(one) != after.get(one)}
        for key, (of, body) in self.copies.items():
            if of == name:
                kept = {one: value for one, value in body.items() if one not in changed}
                self.copies[key] = of, kept | {one: after[one] for one in changed if one in after}
        if {"doneBy", "doneAt"} & changed:
            stale = [key for key, (of, _) in self.copies.items() if of == name and key[0].startswith("done|")]
            for key in stale:
                del self.copies[key]
        elif was in self.copies:
            return
        self._done(task)

    def _done(self, task: Task) -> None:
        if task.done is not None and task.done != task.key:
            self.copies[task.done] = task.id, task.body


def first() -> Model:
    """What there is at the beginning: copies that say what their originals say, some that do not, and none."""
    model = Model()
    model.insert(Task("1", "a", {"title": "t1", "done_by": "ann", "done_at": "m1"}, {"colour": "red"}, ["one", "two"]))
    model.insert(Task("2", "a", {"title": "t1", "done_by": "bob", "done_at": "m2"}))
    model.insert(Task("3", "b", {"title": None, "done_by": "ann", "done_at": None}))
    model.insert(Task("4", "b", {"title": "t4", "done_by": "bob", "done_at": "m4"}))
    model.insert(Task("5", "c", {"title": "t5", "done_by": "cid", "done_at": "m5"}, own_key=("done|cid", "m5")))
    one = model.tasks["1"]
    model.copies["seen|2020", "x"] = "1", one.body | {"title": {"S": "old"}, "ttl": {"N": "77"}}
    model.copies["seen|2021", "y"] = "1", {"taskRef": {"S": "task|1"}, "colour": {"S": "blue"}}
    model.copies["seen|2020", "z"] = "3", model.tasks["3"].body
    model.copies["done|bob", "m2"] = "2", model.tasks["2"].body | {"title": {"S": "older"}}
    del model.copies["done|bob", "m4"]
    return model
