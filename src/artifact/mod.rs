//! A version's files: written whole, checksummed, verified before parsed.
