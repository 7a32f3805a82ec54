"""Questions that the court asks of its data, and that its single table could not answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, LiteralString


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question, its SQL, and what asking DynamoDB would have taken."""

    title: str
    sql: LiteralString
    in_dynamodb: str


questions: Final = (
    Question(
        title="Whose open cases have waited longest since the last filing? (on 1 January 2026)",
        sql="""\
SELECT u.name AS judge, count(*) AS open_cases, max(f.days) AS most_days,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY f.days) AS median_days
FROM court.case c
JOIN court.user u ON u.user_id = c.judge_id
JOIN (SELECT docket_number, date '2026-01-01' - max(filing_date)::date AS days
      FROM court.docket_entry GROUP BY docket_number) f USING (docket_number)
WHERE c.status <> 'Closed'
GROUP BY u.user_id ORDER BY median_days DESC LIMIT 5""",
        in_dynamodb="a Scan of everything, then two joins and a median in your own code",
    ),
    Question(
        title="Which section leaves messages unanswered, and about which cases?",
        sql="""\
SELECT t.to_section AS section, count(*) AS unanswered, min(t.created_at)::date AS oldest,
       count(*) FILTER (WHERE c.status = 'Calendared') AS calendared_cases
FROM (SELECT DISTINCT ON (parent_message_id) * FROM court.message
      ORDER BY parent_message_id, created_at DESC) t
JOIN court.case c USING (docket_number)
WHERE t.completed_at IS NULL
GROUP BY t.to_section ORDER BY unanswered DESC""",
        in_dynamodb="one Query for each thread there ever was: no index knows the open ones",
    ),
    Question(
        title="Which copies in outboxes say something else than the work item they copy?",
        sql="""\
SELECT w.section, w.case_status AS work_item_says, k.item #>> '{caseStatus,S}' AS copy_says,
       count(*) AS copies
FROM court.work_item_copy k JOIN court.work_item w USING (work_item_id)
WHERE k.item #>> '{caseStatus,S}' <> w.case_status
GROUP BY 1, 2, 3 ORDER BY copies DESC LIMIT 4""",
        in_dynamodb="nobody knew that they differ",
    ),
)
