//! The acceptor's side of GSSAPI (RFC 2744, RFC 6680) as MIT Kerberos has it.
//!
//! The library is looked for when it is first needed: nothing is needed to build, and a machine without Kerberos runs
//! the same program. It is never unloaded. Calls block: they read the keytab and the replay cache.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;
use std::time::Duration;

use zeroize::{Zeroize, Zeroizing};

/// What is loaded.
pub const LIBRARY: &str = "libgssapi_krb5.so.2";

type Status = u32;
/// `gss_ctx_id_t`, `gss_cred_id_t`, `gss_name_t`, `krb5_context`, `profile_t`.
type Handle = *mut c_void;

#[repr(C)]
struct Buffer {
    length: usize,
    value: *mut c_void,
}

#[repr(C)]
struct BufferSet {
    count: usize,
    elements: *mut Buffer,
}

#[repr(C)]
struct Oid {
    length: u32,
    elements: *const c_void,
}

#[repr(C)]
struct OidSet {
    count: usize,
    elements: *const Oid,
}

#[repr(C)]
struct KeyValue {
    key: *const c_char,
    value: *const c_char,
}

#[repr(C)]
struct KeyValueSet {
    count: u32,
    elements: *const KeyValue,
}

/// 1.2.840.113554.1.2.2
const KRB5: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 1, 2, 2];
/// GSS_C_INQ_SSPI_SESSION_KEY: 1.2.840.113554.1.2.2.5.5
const SESSION_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 1, 2, 2, 5, 5];
const INDEFINITE: u32 = u32::MAX;
const ACCEPT: c_int = 2;
const GSS_CODE: c_int = 1;
const MECH_CODE: c_int = 2;
const CONTINUE_NEEDED: Status = 1;
/// Calling errors and routine errors; what is below informs.
const ERRORS: Status = 0xFFFF_0000;

macro_rules! functions {
    ($($name:ident($($arg:ty),* $(,)?) $(-> $ret:ty)?;)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
        }

        impl Functions {
            /// Err: the first that is missing.
            ///
            /// # Safety
            /// `library` comes from `dlopen`, is never closed, and declares these functions so.
            unsafe fn of(library: Handle) -> std::result::Result<Functions, &'static str> {
                Ok(Functions { $($name: {
                    // SAFETY: the name ends with a zero.
                    let found = unsafe { libc::dlsym(library, concat!(stringify!($name), "\0").as_ptr().cast()) };
                    if found.is_null() {
                        return Err(stringify!($name));
                    }
                    // SAFETY: by the contract of this function it is one of that type.
                    unsafe { std::mem::transmute::<Handle, unsafe extern "C" fn($($arg),*) $(-> $ret)?>(found) }
                },)* })
            }
        }
    };
}

functions! {
    gss_acquire_cred_from(
        *mut Status, Handle, u32, *const OidSet, c_int, *const KeyValueSet, *mut Handle, *mut *mut OidSet, *mut u32,
    ) -> Status;
    gss_release_cred(*mut Status, *mut Handle) -> Status;
    gss_accept_sec_context(
        *mut Status, *mut Handle, Handle, *const Buffer, Handle, *mut Handle, *mut *const Oid, *mut Buffer, *mut u32,
        *mut u32, *mut Handle,
    ) -> Status;
    gss_delete_sec_context(*mut Status, *mut Handle, *mut Buffer) -> Status;
    gss_inquire_context(
        *mut Status, Handle, *mut Handle, *mut Handle, *mut u32, *mut *const Oid, *mut u32, *mut c_int, *mut c_int,
    ) -> Status;
    gss_inquire_sec_context_by_oid(*mut Status, Handle, *const Oid, *mut *mut BufferSet) -> Status;
    gss_release_buffer(*mut Status, *mut Buffer) -> Status;
    gss_release_buffer_set(*mut Status, *mut *mut BufferSet) -> Status;
    gss_release_name(*mut Status, *mut Handle) -> Status;
    gss_display_name(*mut Status, Handle, *mut Buffer, *mut *const Oid) -> Status;
    gss_display_status(*mut Status, Status, c_int, *const Oid, *mut u32, *mut Buffer) -> Status;
    gss_get_mic(*mut Status, Handle, u32, *const Buffer, *mut Buffer) -> Status;
    gss_verify_mic(*mut Status, Handle, *const Buffer, *const Buffer, *mut u32) -> Status;
    gss_get_name_attribute(
        *mut Status, Handle, *const Buffer, *mut c_int, *mut c_int, *mut Buffer, *mut Buffer, *mut c_int,
    ) -> Status;
    krb5_init_context(*mut Handle) -> i32;
    krb5_free_context(Handle);
    krb5_get_profile(Handle, *mut Handle) -> i32;
    profile_get_integer(Handle, *const c_char, *const c_char, *const c_char, c_int, *mut c_int) -> i32;
    profile_release(Handle);
}

/// The library, once it is there.
pub struct Library(Functions);

/// What a call came to: both codes, and what the library says of them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    /// GSS_S_*.
    pub major: u32,
    /// The mechanism's own: a code of libkrb5 (`KRB5KRB_AP_ERR_*` and others).
    pub minor: i32,
    pub text: String,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Buffer {
    const EMPTY: Buffer = Buffer { length: 0, value: null_mut() };

    /// For input only: the library does not write to it.
    fn of(bytes: &[u8]) -> Buffer {
        Buffer { length: bytes.len(), value: bytes.as_ptr().cast_mut().cast() }
    }
}

impl Oid {
    fn of(bytes: &'static [u8]) -> Oid {
        Oid { length: bytes.len() as u32, elements: bytes.as_ptr().cast() }
    }
}

/// What the library allocated, given back when dropped.
struct Owned<'a>(&'a Functions, Buffer);

impl Owned<'_> {
    fn bytes(&self) -> &[u8] {
        if self.1.value.is_null() {
            return &[];
        }
        // SAFETY: the library filled it: so many bytes, which stay until it is released.
        unsafe { std::slice::from_raw_parts(self.1.value.cast(), self.1.length) }
    }
}

impl Drop for Owned<'_> {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: it is empty or of the library, and released once.
        unsafe { (self.0.gss_release_buffer)(&mut minor, &mut self.1) };
    }
}

impl Library {
    /// Loads it, or says what is missing. Once it is there it stays.
    pub fn load() -> std::result::Result<&'static Library, String> {
        static LOADED: OnceLock<Library> = OnceLock::new();
        if let Some(library) = LOADED.get() {
            return Ok(library);
        }
        let name = CString::new(LIBRARY).expect("no zero in it");
        // SAFETY: a name; the library's constructors are those of a system library.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            // SAFETY: after a failure it gives a string, which stays until this thread's next call.
            let why = unsafe { libc::dlerror() };
            // SAFETY: as above; it is looked at now.
            let why = (!why.is_null()).then(|| unsafe { CStr::from_ptr(why) }.to_string_lossy().into_owned());
            return Err(why.unwrap_or_else(|| format!("{LIBRARY} cannot be loaded")));
        }
        // SAFETY: never closed; the declarations are those of RFC 2744, RFC 6680 and MIT's headers. By a handle `dlsym`
        // looks into what the library depends on as well, which has the functions of libkrb5.
        let functions = unsafe { Functions::of(handle) };
        let functions = functions.map_err(|name| format!("{LIBRARY} is too old: it has no {name}"))?;
        Ok(LOADED.get_or_init(|| Library(functions)))
    }

    fn check(&self, major: Status, minor: Status) -> Result<()> {
        if major & ERRORS == 0 {
            return Ok(());
        }
        let minor = minor as i32;
        let text = match minor {
            0 => self.text(major, GSS_CODE),
            code => self.text(code as u32, MECH_CODE),
        };
        Err(Error { major, minor, text })
    }

    /// Of an error that this thread has just met.
    fn text(&self, status: Status, kind: c_int) -> String {
        let (mut minor, mut more, mut text) = (0, 0, Owned(&self.0, Buffer::EMPTY));
        let krb5 = Oid::of(KRB5);
        // SAFETY: everything lives through the call.
        unsafe {
            (self.0.gss_display_status)(&mut minor, status, kind, &krb5, &mut more, &mut text.1);
        }
        String::from_utf8_lossy(text.bytes()).into_owned()
    }

    /// `clockskew` of krb5.conf: by how much the clocks of two machines may differ.
    pub fn clock_skew(&self) -> Duration {
        const DEFAULT: c_int = 300;
        let (mut context, mut profile, mut seconds) = (null_mut(), null_mut(), DEFAULT);
        // SAFETY: the handles are made and released here, in this order; the names end with zeros.
        unsafe {
            if (self.0.krb5_init_context)(&mut context) == 0 {
                if (self.0.krb5_get_profile)(context, &mut profile) == 0 {
                    (self.0.profile_get_integer)(
                        profile,
                        c"libdefaults".as_ptr(),
                        c"clockskew".as_ptr(),
                        null(),
                        DEFAULT,
                        &mut seconds,
                    );
                    (self.0.profile_release)(profile);
                }
                (self.0.krb5_free_context)(context);
            }
        }
        Duration::from_secs(seconds.try_into().unwrap_or(DEFAULT as u64))
    }

    /// For one logon, with the keys that the file has now. `replays`: the file that remembers what was seen.
    pub fn acceptor(&'static self, keytab: &Path, replays: &Path) -> Result<Acceptor> {
        let named = |kind: &str, path: &Path| {
            CString::new([kind.as_bytes(), path.as_os_str().as_bytes()].concat()).unwrap_or_default()
        };
        let (keytab, replays) = (named("FILE:", keytab), named("file2:", replays));
        let pairs = [
            KeyValue { key: c"keytab".as_ptr(), value: keytab.as_ptr() },
            KeyValue { key: c"rcache".as_ptr(), value: replays.as_ptr() },
        ];
        let store = KeyValueSet { count: pairs.len() as u32, elements: pairs.as_ptr() };
        let krb5 = Oid::of(KRB5);
        let mechs = OidSet { count: 1, elements: &krb5 };
        let (mut minor, mut credential) = (0, null_mut());
        // SAFETY: everything that is pointed to lives through the call, which keeps none of it.
        let major = unsafe {
            (self.0.gss_acquire_cred_from)(
                &mut minor,
                null_mut(),
                INDEFINITE,
                &mechs,
                ACCEPT,
                &store,
                &mut credential,
                null_mut(),
                null_mut(),
            )
        };
        self.check(major, minor)?;
        Ok(Acceptor { library: self, credential, context: null_mut() })
    }
}

/// The acceptor's half of one security context.
pub struct Acceptor {
    library: &'static Library,
    credential: Handle,
    context: Handle,
}

// SAFETY: the library is thread-safe, and lets a handle be used by any thread, one at a time.
unsafe impl Send for Acceptor {}

/// What a token led to.
pub enum Accepted {
    /// The client has to answer this.
    More(Vec<u8>),
    /// Who it is, for the client what is not empty (AP-REP), and how long the ticket holds yet, the clock skew included.
    Done { client: Name, token: Vec<u8>, lifetime: Duration },
}

impl Acceptor {
    /// The next token of the client (`gss_accept_sec_context`).
    pub fn accept(&mut self, token: &[u8]) -> Result<Accepted> {
        let f = &self.library.0;
        let (mut minor, mut lifetime) = (0, 0);
        let mut client = Name { library: self.library, name: null_mut() };
        let mut answer = Owned(f, Buffer::EMPTY);
        let input = Buffer::of(token);
        // SAFETY: everything that is pointed to lives through the call; context and credential are the library's.
        let major = unsafe {
            (f.gss_accept_sec_context)(
                &mut minor,
                &mut self.context,
                self.credential,
                &input,
                null_mut(),
                &mut client.name,
                null_mut(),
                &mut answer.1,
                null_mut(),
                &mut lifetime,
                null_mut(),
            )
        };
        self.library.check(major, minor)?;
        let token = answer.bytes().to_vec();
        if major & CONTINUE_NEEDED != 0 {
            return Ok(Accepted::More(token));
        }
        Ok(Accepted::Done { client, token, lifetime: Duration::from_secs(lifetime.into()) })
    }

    /// The service that the ticket is for, as in `cifs/nas.example.org@EXAMPLE.ORG`.
    pub fn service(&self) -> Result<String> {
        let mut minor = 0;
        let mut name = Name { library: self.library, name: null_mut() };
        // SAFETY: the context is the library's; what is null is not wanted.
        let major = unsafe {
            (self.library.0.gss_inquire_context)(
                &mut minor,
                self.context,
                null_mut(),
                &mut name.name,
                null_mut(),
                null_mut(),
                null_mut(),
                null_mut(),
                null_mut(),
            )
        };
        self.library.check(major, minor)?;
        name.text()
    }

    /// The key that both sides know: the acceptor's subkey where there is one.
    pub fn session_key(&self) -> Result<Zeroizing<Vec<u8>>> {
        let (mut minor, mut set) = (0, null_mut::<BufferSet>());
        let what = Oid::of(SESSION_KEY);
        // SAFETY: everything that is pointed to lives through the call.
        let major = unsafe {
            (self.library.0.gss_inquire_sec_context_by_oid)(&mut minor, self.context, &what, &mut set)
        };
        self.library.check(major, minor)?;
        let mut key = Zeroizing::new(Vec::new());
        // SAFETY: the set is null or the library's, which writes nothing to it meanwhile; its first element is the key.
        unsafe {
            if let Some(first) = set.as_ref().filter(|set| set.count > 0) {
                let first = &*first.elements;
                let bytes = std::slice::from_raw_parts_mut(first.value.cast::<u8>(), first.length);
                key.extend_from_slice(bytes);
                bytes.zeroize();
            }
            (self.library.0.gss_release_buffer_set)(&mut minor, &mut set);
        }
        Ok(key)
    }

    /// GSS_GetMIC.
    pub fn mic(&self, message: &[u8]) -> Result<Vec<u8>> {
        let mut minor = 0;
        let mut mic = Owned(&self.library.0, Buffer::EMPTY);
        // SAFETY: everything that is pointed to lives through the call.
        let major = unsafe {
            (self.library.0.gss_get_mic)(&mut minor, self.context, 0, &Buffer::of(message), &mut mic.1)
        };
        self.library.check(major, minor)?;
        Ok(mic.bytes().to_vec())
    }

    /// GSS_VerifyMIC: an error if it does not hold.
    pub fn verify_mic(&self, message: &[u8], mic: &[u8]) -> Result<()> {
        let mut minor = 0;
        // SAFETY: everything that is pointed to lives through the call.
        let major = unsafe {
            (self.library.0.gss_verify_mic)(
                &mut minor,
                self.context,
                &Buffer::of(message),
                &Buffer::of(mic),
                null_mut(),
            )
        };
        self.library.check(major, minor)
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: null or the library's, and released once.
        unsafe {
            (self.library.0.gss_delete_sec_context)(&mut minor, &mut self.context, null_mut());
            (self.library.0.gss_release_cred)(&mut minor, &mut self.credential);
        }
    }
}

/// A name as the mechanism knows it.
pub struct Name {
    library: &'static Library,
    name: Handle,
}

impl Name {
    /// As in `alice@EXAMPLE.ORG`; what would be taken for a separator has a backslash before it.
    pub fn text(&self) -> Result<String> {
        let mut minor = 0;
        let mut text = Owned(&self.library.0, Buffer::EMPTY);
        // SAFETY: everything that is pointed to lives through the call.
        let major =
            unsafe { (self.library.0.gss_display_name)(&mut minor, self.name, &mut text.1, null_mut()) };
        self.library.check(major, minor)?;
        Ok(String::from_utf8_lossy(text.bytes()).into_owned())
    }

    /// The first value of an attribute (RFC 6680), if it is there and was verified.
    pub fn attribute(&self, attribute: &str) -> Option<Vec<u8>> {
        let (mut minor, mut authenticated, mut complete, mut more) = (0, 0, 0, -1);
        let mut value = Owned(&self.library.0, Buffer::EMPTY);
        let mut shown = Owned(&self.library.0, Buffer::EMPTY);
        // SAFETY: everything that is pointed to lives through the call.
        let major = unsafe {
            (self.library.0.gss_get_name_attribute)(
                &mut minor,
                self.name,
                &Buffer::of(attribute.as_bytes()),
                &mut authenticated,
                &mut complete,
                &mut value.1,
                &mut shown.1,
                &mut more,
            )
        };
        (major & ERRORS == 0 && authenticated != 0).then(|| value.bytes().to_vec())
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: null or the library's, and released once.
        unsafe { (self.library.0.gss_release_name)(&mut minor, &mut self.name) };
    }
}
