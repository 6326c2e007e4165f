"""The dashboard in a browser, against a live node with real data.

``driver`` opens the browser and watches what it does, ``data`` is what the pages show, ``screenshots`` takes
the pictures of the documentation. May not live here: what needs no browser (``tests/router/dashboard``).
"""
