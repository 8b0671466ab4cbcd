//! Properties of the floors below the connection, each against a model that is too simple to be wrong. Windows, credit,
//! the ledger and lists, whose makers are private, have theirs beside the code; HPACK's are in `hpack_properties`.

mod codecs;
mod storage;
