"""The report of an assessment: one document, as a page of HTML, as Markdown and as JSON. Pure, no clock."""
