use thiserror::Error;

/// Why a kernel rejects its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KernelError {
    /// The length of a slice does not match its shape.
    #[error("{what} holds {found} values, but its shape needs {expected}")]
    Length {
        /// The argument.
        what: &'static str,
        /// Number of values required by the shape.
        expected: usize,
        /// Number of values in the slice.
        found: usize,
    },
    /// An invalid shape.
    #[error("{what}: {reason}")]
    Shape {
        /// The operation or argument.
        what: &'static str,
        /// What is wrong, with the value and the limit.
        reason: String,
    },
}

pub(crate) fn check_length<T>(
    what: &'static str,
    values: &[T],
    expected: usize,
) -> Result<(), KernelError> {
    match values.len() == expected {
        true => Ok(()),
        false => Err(KernelError::Length {
            what,
            expected,
            found: values.len(),
        }),
    }
}
