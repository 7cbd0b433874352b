"""Redaction: the content of chosen values goes, what it was found by too; ids and the chain stay."""
