"""A college and a hospital: edges in both directions, and indexes with several meanings; no type attribute."""

from __future__ import annotations

from ashore.local.styles.draws import Draws
from ashore.local.styles.labelled import LabelledTable


def college(draws: Draws, size: int) -> LabelledTable:
    """An adjacency list: nodes under their own keys, edges under those of both ends; some hold only keys."""
    table = LabelledTable(name="college", indexes={"inverse": ("SK", "PK")})
    table.kind("student", "givenName text, familyName text, bornOn date, year integer, guardianEmail text")
    table.kind("course", "title text, credits integer, startsOn date, isOpen boolean, fee numeric")
    table.kind("teacher", "fullName text, email text, hiredOn date, room text, isTenured boolean")
    table.kind(
        "enrolment", "enrolledAt timestamptz, grade numeric, passed boolean", parents={"PK": "student", "SK": "course"}
    )
    table.kind("course_student", role="mapping", parents={"PK": "course", "SK": "student"}, mirrors="enrolment")
    table.kind("teaching", role="mapping", parents={"PK": "teacher", "SK": "course"})
    table.kind("course_teacher", role="mapping", parents={"PK": "course", "SK": "teacher"}, mirrors="teaching")
    courses = [f"{draws.one_of('MATH', 'HIST', 'BIOL', 'MUSC')}-{100 + number}" for number in range(max(5, size // 40))]
    for course in courses:
        key = f"COURSE#{course}"
        about = {"title": draws.title(), "credits": 1 + draws.whole(8), "startsOn": draws.day()}
        more = {"isOpen": draws.truth(), "fee": draws.amount(300)}
        table.add("course", {"PK": key, "SK": key, **about, **more})
    for _ in range(max(4, size // 60)):
        key = f"TEACHER#{draws.uuid()}"
        about = {"fullName": draws.person(), "email": draws.email(), "hiredOn": draws.day()}
        more = {"room": f"{draws.one_of(*'ABC')}{draws.whole(40)}", "isTenured": draws.truth()}
        table.add("teacher", {"PK": key, "SK": key, **about, **more})
        for course in draws.some_of(courses, 3):
            table.add("teaching", {"PK": key, "SK": f"COURSE#{course}"})
            table.add("course_teacher", {"PK": f"COURSE#{course}", "SK": key})
    for _ in range(max(10, size // 9)):
        key = f"STUDENT#{draws.uuid()}"
        about = {
            "givenName": draws.person().split()[0],
            "familyName": draws.person().split()[1],
            "bornOn": draws.day(),
            "year": 1 + draws.whole(6),
            **draws.maybe(0.8, guardianEmail=draws.email()),
        }
        table.add("student", {"PK": key, "SK": key, **about})
        for course in draws.some_of(courses, 6):
            result = {"grade": draws.amount(6), "passed": draws.truth(0.9)} if draws.truth(0.7) else {}
            edge = {"PK": key, "SK": f"COURSE#{course}", "enrolledAt": draws.moment(), **result}
            table.add("enrolment", edge)
            table.add("course_student", {"PK": f"COURSE#{course}", "SK": key})
    return table


def hospital(draws: Draws, size: int) -> LabelledTable:
    """Two overloaded indexes: references and sort orders stand only in them."""
    indexes = {"byFirst": ("GSI1PK", "GSI1SK"), "bySecond": ("GSI2PK", "GSI2SK")}
    table = LabelledTable(name="hospital", indexes=indexes)
    table.kind("patient", "name text, bornOn date, bloodType text, insurer text, allergies set")
    table.kind("doctor", "name text, specialty text, room integer, onCall boolean")
    table.kind(
        "appointment",
        "minutes integer, reason text, arrivedAt timestamptz, cost numeric",
        parents={"PK": "patient", "GSI1PK": "doctor"},
    )
    table.kind(
        "prescription",
        "drug text, doseMg numeric, repeats integer, signedAt timestamptz, note text",
        parents={"PK": "patient", "GSI1PK": "doctor"},
    )
    table.kind("result", "analyte text, value numeric, unit text, isFinal boolean", parents={"PK": "patient"})
    doctors = [draws.uuid() for _ in range(max(4, size // 60))]
    for doctor in doctors:
        specialty, name = draws.one_of("cardiology", "dermatology", "surgery"), draws.person()
        about = {"name": name, "specialty": specialty, "room": 100 + draws.whole(60), "onCall": draws.truth()}
        index = {"GSI1PK": f"SPECIALTY#{specialty}", "GSI1SK": name}
        table.add("doctor", {"PK": f"D#{doctor}", "SK": f"D#{doctor}", **about, **index})
    for _ in range(max(8, size // 12)):
        key = f"P#{draws.uuid()}"
        insurer = draws.one_of("north mutual", "river health", "public")
        about = {"name": draws.person(), "bornOn": draws.day(), "bloodType": draws.one_of("A+", "B-", "0+", "AB+")}
        allergies = draws.maybe(0.4, allergies=draws.set_of(("nuts", "pollen", "latex"), 2))
        index = {"GSI2PK": f"INSURER#{insurer}", "GSI2SK": key}
        table.add("patient", {"PK": key, "SK": key, "insurer": insurer, **about, **allergies, **index})
        for _ in range(draws.whole(6)):
            doctor, at = draws.one_of(*doctors), draws.moment()
            visit = {"minutes": 5 * (1 + draws.whole(9)), "reason": draws.sentence(5), "cost": draws.amount(400)}
            came = draws.maybe(0.8, arrivedAt=draws.moment())
            first = {"GSI1PK": f"D#{doctor}", "GSI1SK": f"APPT#{at}"}
            second = {"GSI2PK": f"ROOM#{draws.whole(20)}", "GSI2SK": at}
            table.add("appointment", {"PK": key, "SK": f"APPT#{at}", **visit, **came, **first, **second})
        for _ in range(draws.whole(5)):
            number, at = draws.ulid(), draws.moment()
            drug = {"drug": draws.title(), "doseMg": draws.measure(20, 4), "repeats": draws.whole(5), "signedAt": at}
            index = {"GSI1PK": f"D#{draws.one_of(*doctors)}", "GSI1SK": f"RX#{at}"}
            note = draws.maybe(0.3, note=draws.sentence())
            table.add("prescription", {"PK": key, "SK": f"RX#{number}", **drug, **note, **index})
        for _ in range(draws.whole(7)):
            value = {"value": draws.measure(5, 1), "unit": draws.one_of("mmol/l", "g/l"), "isFinal": draws.truth(0.9)}
            analyte = draws.one_of("glucose", "ferritin", "sodium", "calcium")
            place = {"PK": key, "SK": f"LAB#{draws.day()}#{draws.digits(6)}"}
            table.add("result", {**place, "analyte": analyte, **value})
    return table
