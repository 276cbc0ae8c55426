"""Builds the Debian packages of edge-agent: see docs/packaging.md.

`program` lays out what is the same for all architectures, `kernels` compiles what is not, `vendored` fetches
the libraries that go in by hash, `control` writes what dpkg reads, `package` puts them together. Runs on any
machine with dpkg-deb; nothing of it is on a gateway.
"""
