"""Who may do what, for every protocol (reference 5.1, 5.2; docs/SECURITY.md).

Lives here: what operations need (``needs``), what a caller may do and whether that is enough (``access``).
May not live here: protocols, nor reads (``router.queries.confirming`` asks what a token's ``value_exists``
wants to know). An edge hands over the credentials it was sent and the operation's need, and gets an access or
an error.
"""
