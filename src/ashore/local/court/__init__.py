"""A court's single-table design: tables, declaration, and items made up for it. The demo and the tests use it."""
