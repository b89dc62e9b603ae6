//! Tests of the whole allocator through its verbs.
//!
//! | file | question |
//! |---|---|
//! | `model` | the driver: random operations against a list of live ranges |
//! | `random` | does it keep its promises, alone and with threads? |
//! | `refusal` | does it keep them when the system refuses, at whatever call? |
//! | `refused_control` | and while arenas, limits, figures and forks are at work? |
//! | `clock` | does idle memory leave when its time has come, and not before? |
//! | `container` | does it shrink as the limit of a container comes near? |
//! | `repeat` | do the same operations give the same addresses? |
//! | `limit` | does it stay within the limits it was given, and count what it uses? |
//! | `sampling` | are samples where the draws have them, and do estimates hold? |
//! | `sample_lives` | what becomes of samples apart from a free? |
//! | `edge` | sizes and alignments at the ends of their ranges |

mod clock;
mod container;
mod edge;
mod limit;
mod model;
mod random;
mod refusal;
mod refused_control;
mod repeat;
mod sample_lives;
mod sampling;
