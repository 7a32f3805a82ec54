"""Metrics in partitions by day, freight under two generations of keys, an arcade with all that is single."""

from __future__ import annotations

from ashore.local.styles.draws import Draws
from ashore.local.styles.labelled import LabelledTable


def telemetry(draws: Draws, size: int) -> LabelledTable:
    """Time-sharded partitions sorted by moment, hourly sums beside them, devices that both name."""
    table = LabelledTable(name="telemetry", key=(("pk", "S"), ("sk", "S")))
    table.kind("device", "model text, site text, installedOn date, firmware text, isActive boolean, gain numeric")
    table.kind(
        "reading",
        "deviceId text, celsius numeric, humidity numeric, batteryMv integer, isFaulty boolean",
        parents={"deviceId": "device"},
    )
    table.kind("hourly", "samples integer, meanCelsius numeric, maxCelsius numeric", parents={"sk": "device"})
    table.kind("alarm", "level integer, raisedAt timestamptz, message text, clearedBy uuid", parents={"pk": "device"})
    devices = [f"th-{number:04d}" for number in range(max(5, size // 60))]
    for device in devices:
        about = {"model": draws.one_of("T1", "T2 pro"), "site": draws.title(), "installedOn": draws.day()}
        more = {"firmware": f"{draws.whole(4)}.{draws.whole(9)}.{draws.whole(9)}", "isActive": draws.truth(0.9)}
        table.add("device", {"pk": f"device#{device}", "sk": "meta", **about, **more, "gain": draws.measure(1, 0.1)})
        for _ in range(draws.whole(4)):
            raised = {"level": draws.whole(5), "raisedAt": draws.moment(), "message": draws.sentence(5)}
            cleared = draws.maybe(0.5, clearedBy=draws.uuid())
            table.add("alarm", {"pk": f"device#{device}", "sk": f"alarm#{draws.ulid()}", **raised, **cleared})
        for hour in draws.some_of(range(24), 8):
            sums = {"samples": 50 + draws.whole(10), "meanCelsius": draws.measure(20, 2)}
            top = {"maxCelsius": draws.measure(24, 2)}
            table.add("hourly", {"pk": f"hourly#{draws.day()}", "sk": f"{hour:02d}#{device}", **sums, **top})
    for _ in range(size):
        at = draws.moment()
        values = {
            "deviceId": draws.one_of(*devices),
            "celsius": draws.measure(20, 3),
            "humidity": draws.measure(50, 9),
            "batteryMv": 2_700 + draws.whole(600),
            "isFaulty": draws.truth(0.02),
        }
        table.add("reading", {"pk": f"metrics#{at[:10]}", "sk": at, **values})
    return table


def freight(draws: Draws, size: int) -> LabelledTable:
    """Two generations of keys, ``shipment|…`` and ``SHIPMENT#…``, of the same two entities."""
    table = LabelledTable(name="freight")
    table.kind("carrier", "legalName text, country text, rating numeric, insuredUntil date")
    table.kind(
        "shipment",
        "reference text, weightKg numeric, pieces integer, bookedAt timestamptz, carrierCode text, incoterm text, "
        "hazardous boolean, deliverBy date",
        parents={"carrierCode": "carrier"},
    )
    table.kind(
        "stop", "place text, arriveOn date, leftAt timestamptz, dock integer, remarks text", parents={"PK": "shipment"}
    )
    carriers = [f"{draws.slug()}" for _ in range(max(4, size // 80))]
    for carrier in carriers:
        about = {"legalName": draws.title(), "country": draws.one_of("NL", "DK", "IT"), "rating": draws.amount(5)}
        key = f"CARRIER#{carrier}"
        table.add("carrier", {"PK": key, "SK": key, **about, "insuredUntil": draws.day()})
    for number in range(max(10, size // 5)):
        old, shipment = number % 3 == 0, draws.ulid()
        key = f"shipment|{shipment}" if old else f"SHIPMENT#{shipment}"
        about = {
            "reference": f"R{draws.digits(2)}-{number:05d}",
            "weightKg": draws.amount(9_000),
            "pieces": 1 + draws.whole(40),
            "bookedAt": draws.moment(),
            "carrierCode": draws.one_of(*carriers),
            "incoterm": draws.one_of("EXW", "FOB", "DAP"),
            "hazardous": draws.truth(0.1),
            **draws.maybe(0.6, deliverBy=draws.day()),
        }
        table.add("shipment", {"PK": key, "SK": key, **about})
        for stop in range(1 + draws.whole(5)):
            sort = f"stop|{stop + 1}" if old else f"STOP#{stop + 1}"
            visit = {"place": draws.title(), "arriveOn": draws.day(), "dock": draws.whole(30)}
            left = draws.maybe(0.7, leftAt=draws.moment()) | draws.maybe(0.2, remarks=draws.sentence())
            table.add("stop", {"PK": key, "SK": sort, **visit, **left})
    return table


def arcade(draws: Draws, size: int) -> LabelledTable:
    """Constant partitions, counters, single items, lookups by name, and sessions of which many have expired."""
    table = LabelledTable(name="arcade", key=(("pk", "S"), ("sk", "S")), ttl="expiresAt")
    table.kind("game", "title text, releasedOn date, maxPlayers integer, price numeric, genres set, isBeta boolean")
    table.kind("player", "handle text, joinedAt timestamptz, level integer, rating numeric, country text")
    table.kind("handle", "playerId uuid", role="mapping", parents={"playerId": "player"})
    table.kind(
        "session",
        "startedAt timestamptz, expiresAt epoch, device text, address text",
        parents={"pk": "player"},
    )
    table.kind(
        "score",
        "points integer, playerId uuid, achievedAt timestamptz, mode text",
        parents={"pk": "game", "playerId": "player"},
    )
    table.kind("counter", role="setting")
    table.kind("setting", role="setting")
    players = [draws.uuid() for _ in range(max(8, size // 10))]
    games = [f"{draws.title().replace(' ', '-')}-{number}" for number in range(max(4, size // 80))]
    for game in games:
        about = {"title": draws.title(), "releasedOn": draws.day(), "maxPlayers": 1 + draws.whole(8)}
        genres = draws.set_of(("race", "puzzle", "shooter", "sport"), 2)
        more = {"price": draws.amount(70), "genres": genres, "isBeta": draws.truth(0.3)}
        table.add("game", {"pk": "GAMES", "sk": f"GAME#{game}", **about, **more})
        for player in draws.some_of(players, 12):
            points = draws.whole(10**6)
            score = {
                "points": points,
                "playerId": player,
                "achievedAt": draws.moment(),
                "mode": draws.one_of("solo", "duo"),
            }
            table.add("score", {"pk": f"BOARD#{game}", "sk": f"{points:09d}#{player}", **score})
    for player in players:
        handle = draws.slug()
        about = {
            "handle": handle,
            "joinedAt": draws.moment(),
            "level": draws.whole(80),
            "rating": draws.measure(1500, 99),
        }
        table.add(
            "player", {"pk": f"PLAYER#{player}", "sk": "PLAYER", **about, "country": draws.one_of("KE", "BR", "VN")}
        )
        table.add("handle", {"pk": f"HANDLE#{handle}", "sk": f"HANDLE#{handle}", "playerId": player})
        for _ in range(draws.whole(8)):
            session = {"startedAt": draws.moment(), "expiresAt": draws.epoch(), "device": draws.one_of("phone", "tv")}
            address = {"address": f"10.{draws.whole(255)}.{draws.whole(255)}.{draws.whole(255)}"}
            table.add("session", {"pk": f"PLAYER#{player}", "sk": f"SESSION#{draws.uuid()}", **session, **address})
    for name in ("players", "games", "sessions-2020", "sessions-2021"):
        table.add("counter", {"pk": "COUNTER", "sk": f"COUNTER#{name}", "count": draws.whole(10**5)})
    table.add("setting", {"pk": "maintenance-mode", "sk": "maintenance-mode", "on": False, "message": draws.sentence()})
    table.add("setting", {"pk": "feature-flags", "sk": "feature-flags", "newLobby": True, "share": draws.amount(5)})
    return table
