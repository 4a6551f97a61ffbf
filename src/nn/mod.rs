//! Network architectures, one a file, behind one trait.
