//! Properties of every message.
