"""What is wrong with an installation, why it matters, and the command that mends it.

Lives here: one module per topic. Each looks (thin) and judges (pure functions of what was seen, so that
tests need no broken machine). May not live here: the engine, printing. Nothing here changes anything.
"""
