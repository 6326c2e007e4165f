"""Request bodies: reading them (``reading``), their shapes (``schemas``), and what they ask for.

``upserts`` and ``changes`` make drafts of writes, ``queries`` requests of ``router.queries``;
``selectors`` holds what many bodies share, ``explain`` finds out why a vector was refused.
"""
