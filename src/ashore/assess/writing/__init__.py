"""Parts of a written project: texts of Python and TOML, made of names that nobody vouches for."""
