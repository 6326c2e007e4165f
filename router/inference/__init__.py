"""Texts, images and other objects that stand where a vector is expected (reference 16).

Lives here: what such an object is (``objects``), finding and replacing those of a request (``replacing``),
having them embedded, equal ones once (``embedding``), by a model of this process or by a remote service
(``remote``), which is told of the request and tells what it took (``calls``).
May not live here: shapes of any protocol; the models themselves, which are injected.

Invariant: vectors that come out pass the same checks as those that clients send.
"""
