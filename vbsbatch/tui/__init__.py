"""The screen: the only room that imports textual; reads the store, writes commands into it."""
