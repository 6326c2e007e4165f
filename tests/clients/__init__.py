"""Client libraries and frameworks, unmodified, against a live node.

``scripts/`` holds a program for each, which ingests, searches (filtered, hybrid) and deletes as that
library's users do, and fails loudly when an answer is wrong. They are run by interpreters of their own
(``frameworks.lock``, ``js/``), so they import nothing of ours but ``toy``, the embedder that they share.
May not live here: questions about single requests (``tests/congruence``).
"""
