"""Analyses by what they have to do with: entities, the relations between them, and ways along these."""
