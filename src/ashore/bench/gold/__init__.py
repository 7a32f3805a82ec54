"""Tables made up in several styles, each item with the name of what it is: what an assessment is measured on."""
