"""Snapshots: what stands behind their endpoints, whatever the protocol (reference 13).

``operations`` creates and recovers; ``naming`` and ``planning`` are pure: names and folders, which commands
bring points back; ``store`` and ``folder`` keep files; ``locations`` and ``fetching`` find those to be
recovered, within the policy for URLs; ``whole`` is a file of all collections.
May not live here: what is in an archive (``node.snapshots``), encoding of requests and answers.
"""
