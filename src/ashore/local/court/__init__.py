"""A court's single-table design: the tables, the declaration, and items made up for it. The demo and the tests use it."""
