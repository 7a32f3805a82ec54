"""What a table costs, what crossing costs, and what PostgreSQL will: arithmetic on plain numbers, each line shown."""
