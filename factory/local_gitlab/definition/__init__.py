"""What a pipeline definition says: its files, keywords, rules and jobs; no pipeline runs here."""
