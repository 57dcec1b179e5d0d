"""The run as a whole: what is set up and torn down around the engine, and the phases of a trial."""
