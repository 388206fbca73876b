"""The benchmark: aiosmtpd 2 beside aiosmtpd 1.4.6 and other receivers, all in one run.

``make bench`` runs it; ``docs/performance.md`` says what is measured. The parts: :mod:`.environment`
finds and installs what is compared, :mod:`.subjects` starts a server, :mod:`.client` and :mod:`.load`
send to it, :mod:`.measure` asks the operating system what that cost, :mod:`.scenarios` lays out the
twelve scenarios, :mod:`.report` and :mod:`.plot` show the result. :mod:`.engine` measures the engine
alone.
"""
