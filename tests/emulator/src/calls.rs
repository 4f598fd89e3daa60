//! The macro that defines all driver functions.

/// Defines driver functions: `Needs fn cuName(driver, argument: type, ...) { -> Outcome }`.
macro_rules! driver_calls {
    ($(
        $(#[$meta:meta])*
        $needs:ident fn $name:ident($driver:ident $(, $argument:ident: $type:ty)* $(,)?) $body:block
    )*) => {$(
        $(#[$meta])*
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> u32 {
            $crate::driver::enter(
                stringify!($name),
                $crate::driver::Needs::$needs,
                |$driver| -> $crate::status::Outcome { $body },
            )
        }
    )*};
}
pub(crate) use driver_calls;
