"""A real Keystone and a real Cinder on this machine, and vbsbatch against them."""
