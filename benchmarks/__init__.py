"""Speed and size of celeriac beside its peers and a floor, in one run. See README.md in this folder."""
