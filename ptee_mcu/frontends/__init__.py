"""Networks from other frameworks, captured as float graphs."""
