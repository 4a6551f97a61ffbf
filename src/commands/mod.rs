//! One file per subcommand: its arguments, its run, how its report reads.
