"""A Scan that is served as fast as a client can read it, and the least that reading it can take."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from ashore.bench.profiles import ProfileName, profiles
from ashore.dynamodb.scan import TableSource
from ashore.local.scan_server import ServedTable, scan_server_process

_page_bytes: Final = 1_000_000
"""DynamoDB ends a page at 1 MB.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html
"""
_key: Final = (("pk", "S"), ("sk", "S"))
_credentials: Final = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def served_table(profile: ProfileName, items: int, segments: int) -> ServedTable:
    """A profile's items as the prepared pages of so many segments; holds all of them in memory."""
    table = ServedTable(name="bench", key=_key)
    source = profiles[profile].items(items)
    share, rest = divmod(items, segments)
    for segment in range(segments):
        table.add_segment(_pages(source, share + (segment < rest)))
    return table


def _pages(source: Iterator[bytes], items: int) -> Iterator[list[bytes]]:
    page: list[bytes] = []
    size = 0
    for _ in range(items):
        item = next(source)
        page.append(item)
        size += len(item)
        if size >= _page_bytes:
            yield page
            page, size = [], 0
    if page:
        yield page


@contextmanager
def scan_source(profile: ProfileName, items: int, *, workers: int) -> Iterator[TableSource]:
    """Serve a profile's items from a process of its own, one segment for each worker."""
    missing = {name: value for name, value in _credentials.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        with scan_server_process(served_table, profile, items, workers) as url:
            yield TableSource(table="bench", region="us-east-1", endpoint_url=url, segments=workers, workers=workers)
    finally:
        for name in missing:
            del os.environ[name]


@dataclass(frozen=True, slots=True)
class RawScan:
    """Reads the pages of a Scan without signing requests, and finds of each answer only the key to go on from."""

    endpoint_url: str

    def __call__(self, unit: str) -> Callable[[int], None]:
        """Begin the segment that `unit` names (``segment-0000-of-0002``); each call then reads one page."""
        _, number, _, total = unit.split("-")
        body = {"TableName": "bench", "Segment": int(number), "TotalSegments": int(total)}
        address = urlsplit(self.endpoint_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        headers = {"X-Amz-Target": "DynamoDB_20120810.Scan", "Content-Type": "application/x-amz-json-1.0"}

        def read(_size: int) -> None:
            connection.request("POST", "/", json.dumps(body), headers)
            answer = connection.getresponse().read()
            start = answer.rfind(b'"LastEvaluatedKey":', -4096 if len(answer) > 4096 else 0)
            if start < 0:
                connection.close()
                return
            body["ExclusiveStartKey"], _ = json.JSONDecoder().raw_decode(answer[start + 19 :].decode())

        return read
