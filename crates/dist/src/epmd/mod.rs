//! The port mapper: where a node of a given name listens.
