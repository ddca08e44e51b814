"""Pure functions from values to text: tables, markdown, JUnit, Code Quality."""
