//! What shows only from outside of the process: descriptors that run out, and an idle server's sleep.
