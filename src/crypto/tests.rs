//! Published vectors, and the two back ends against each other.

use super::*;
use crate::types::Dialect;

mod joined;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

/// "SMB 2 and SMB 3 security in Windows 10: the anatomy of signing and cryptographic keys", SMB 3.1.1
/// master session: the messages that are hashed before the keys exist, and the hash after each. The article
/// names keys as the client does: its EncryptionKey is client to server.
const PREAUTH: [(&str, &str); 5] = [
    (
        "FE534D4240000100000000000000800000000000000000000100000000000000FFFE000000000000\
         00000000000000000000000000000000000000000000000024000500000000003F000000ECD86F32\
         6276024F9F7752B89BB33F3A70000000020000000202100200030203110300000100260000000000\
         010020000100FA49E6578F1F3A9F4CD3E9CC14A67AA884B3D05844E0E5A118225C15887F32FF0000\
         0200060000000000020002000100",
        "DD94EFC5321BB618A2E208BA8920D2F422992526947A409B5037DE1E0FE8C7362B8C47122594CDE0\
         CE26AA9DFC8BCDBDE0621957672623351A7540F1E54A0426",
    ),
    (
        "FE534D4240000100000000000000010001000000000000000100000000000000FFFE000000000000\
         000000000000000000000000000000000000000000000000410001001103020039CBCAF329714942\
         BDCE5D60F09AB3FB2F000000000080000000800000008000D8DAE5ADCBAED00109094AB095AED001\
         80004001C00100006082013C06062B0601050502A08201303082012CA01A3018060A2B0601040182\
         3702021E060A2B06010401823702020AA282010C048201084E45474F455854530100000000000000\
         60000000700000007C7CC0FD06D6362D02DDE1CF343BFE292900F49750B4AA97934D9C4296B26E51\
         FD370471B235E15A50DAE15BD5489C87000000000000000060000000010000000000000000000000\
         5C33530DEAF90D4DB2EC4AE3786EC3084E45474F4558545303000000010000004000000098000000\
         7C7CC0FD06D6362D02DDE1CF343BFE295C33530DEAF90D4DB2EC4AE3786EC3084000000058000000\
         3056A05430523027802530233121301F06035504031318546F6B656E205369676E696E6720507562\
         6C6963204B65793027802530233121301F06035504031318546F6B656E205369676E696E67205075\
         626C6963204B6579010026000000000001002000010060A3C3B95C3C7CCD51EC536648D9B3AC74C4\
         83CA5B65385A251117BEB30712E50000020004000000000001000200",
        "324BFA92A4F3A190E466EBEA08D9C110DC88BFED758D9846ECC6F541CC1D02AE3C94A79F36011E99\
         7E13F841B91B50957AD07B19C8E2539C0B23FDAE09D2C513",
    ),
    (
        "FE534D4240000100000000000100800000000000000000000200000000000000FFFE000000000000\
         00000000000000000000000000000000000000000000000019000001010000000000000058004A00\
         0000000000000000604806062B0601050502A03E303CA00E300C060A2B06010401823702020AA22A\
         04284E544C4D5353500001000000978208E200000000000000000000000000000000060380250000\
         000F",
        "AC0B0F2B9986257700365E416D142A6EDC96DF03594A19E52A15F6BD0D041CD5D432F8ED42C55E33\
         197A50C9EC00F1462B50C592211B1471A04B56088FDFD5F9",
    ),
    (
        "FE534D4240000100160000C00100010001000000000000000200000000000000FFFE000000000000\
         190000000010000000000000000000000000000000000000090000004800B300A181B03081ADA003\
         0A0101A10C060A2B06010401823702020AA281970481944E544C4D53535000020000000C000C0038\
         00000015828AE20D1D8BA31179D008000000000000000050005000440000000A0092270000000F53\
         005500540033003100310002000C0053005500540033003100310001000C00530055005400330031\
         00310004000C0053005500540033003100310003000C0053005500540033003100310007000800A1\
         A1F5ADCBAED00100000000",
        "2729E3440DFDDD839E37193F6E8F20C20CEFB3469E453A70CD980EEC06B8835740A7376008563336\
         4C8989895ECE81BF102DEEB14D4B7D48AFA76901A7A38387",
    ),
    (
        "FE534D4240000100000000000100800000000000000000000300000000000000FFFE000000000000\
         1900000000100000000000000000000000000000000000001900000101000000000000005800CF01\
         0000000000000000A18201CB308201C7A0030A0101A28201AA048201A64E544C4D53535000030000\
         001800180090000000EE00EE00A80000000C000C00580000001A001A0064000000120012007E0000\
         001000100096010000158288E2060380250000000FECAC77A5F385A8BF9C38C706EEEDDCD3530055\
         005400330031003100610064006D0069006E006900730074007200610074006F0072004400520049\
         0056004500520033003100310000000000000000000000000000000000000000000000000063078E\
         B639FE03E20A231C3AE3BF23080101000000000000A1A1F5ADCBAED001BC4AD05F223CC90F000000\
         0002000C0053005500540033003100310001000C0053005500540033003100310004000C00530055\
         00540033003100310003000C0053005500540033003100310007000800A1A1F5ADCBAED001060004\
         00020000000800300030000000000000000000000000300000B61FEFCAA857EA57BF1EDCEBF8974B\
         8E0EBA5A6DFD9D07A31D11B548F8C9D0CC0A00100000000000000000000000000000000000090016\
         0063006900660073002F005300550054003300310031000000000000000000000000003B9BDFF38F\
         5EE8F9663F11A0F4C03A78A31204100100000063775A9A5FD97F0600000000",
        "0DD13628CC3ED218EF9DF9772D436D0887AB9814BFAE63A80AA845F36909DB7928622DDDAD522D97\
         51640A459762C5A9D6BB084CBB3CE6BDADEF5D5BCE3C6C01",
    ),
];

fn published_preauth() -> PreauthHash {
    let mut hash = PreauthHash::new();
    for (message, after) in PREAUTH {
        hash.update(&hex(message));
        assert_eq!(hash.as_bytes()[..], hex(after));
    }
    hash
}

/// Whether the key is the published one: both must make the same tag of the same message.
fn signs_with(key: &SigningKey, published: &str) -> bool {
    let mut message = [7; 100];
    key.sign(&mut message, Sender::Server);
    SigningKey::new(key.algorithm(), &array(published)).verify(&mut message, Sender::Server)
}

fn seals_with(key: &Option<SealingKey>, published: &str) -> bool {
    let key = key.as_ref().unwrap();
    let (mut header, mut payload) = ([0; 52], *b"some payload");
    key.seal(&mut header, &mut payload, [5; 16]);
    SealingKey::new(key.cipher(), &hex(published)).open(&header, &mut payload).is_ok()
}

#[test]
fn keys_of_3_1_1_are_the_published_ones() {
    let keys = KeySet::derive(
        Dialect::SMB3_11,
        Some(Cipher::Aes128Gcm),
        SigningAlgorithm::AesCmac,
        &SessionKey::new(&hex("270E1BA896585EEB7AF3472D3B4C75A7")),
        Some(&published_preauth()),
    );
    assert!(signs_with(&keys.signing, "73FE7A9A77BEF0BDE49C650D8CCB5F76"));
    assert!(seals_with(&keys.server_in, "629BCBC54422A0F572B97F45989B6073"));
    assert!(seals_with(&keys.server_out, "E2AF0DCEFAC68DA71A0DFBD0D1350D74"));
    assert_eq!(keys.application[..], hex("6D7AD7954E9EC61E907B4D473DC178FF"));

    let mut response =
        hex("FE534D4240000100000000000100800009000000000000000300000000000000FFFE000000000000\
                            1900000000100000EBE146DA120BA25FC3376A49DFE31BC10900000048001D00A11B3019A0030A01\
                            00A3120410010000003B453CDC3524164200000000");
    // The last four bytes are padding of the article's dump: SecurityBufferLength is 0x1D.
    response.truncate(0x48 + 0x1D);
    assert!(keys.signing.verify(&mut response, Sender::Server));
    response[70] ^= 1;
    assert!(!keys.signing.verify(&mut response, Sender::Server));
}

#[test]
fn keys_of_3_0_are_the_published_ones() {
    for dialect in [Dialect::SMB3_00, Dialect::SMB3_02] {
        let keys = KeySet::derive(
            dialect,
            Some(Cipher::Aes128Ccm),
            SigningAlgorithm::AesCmac,
            &SessionKey::new(&hex("7CD451825D0450D235424E44BA6E78CC")),
            None,
        );
        assert!(signs_with(&keys.signing, "0B7E9C5CAC36C0F6EA9AB275298CEDCE"));
        assert!(seals_with(&keys.server_in, "FAD27796665B313EBB578F388632B4F7"));
        assert!(seals_with(&keys.server_out, "B0F0427F7CEB416D1D9DCC0CD4F99447"));
        assert_eq!(keys.application[..], hex("BB23A4575AA26C721AF525AF15A87B4F"));
    }
    // A second channel of that session.
    let channel = SessionKey::new(&hex("4E01A2B313BCF660CC250BEF021AEDE6"));
    let keys = KeySet::derive(Dialect::SMB3_00, None, SigningAlgorithm::AesCmac, &channel, None);
    assert!(signs_with(&keys.signing, "BA1A17DBBFEC349BCA105563D598952F"));
    assert!(keys.server_in.is_none() && keys.server_out.is_none());
}

#[test]
fn dialects_2_sign_with_the_session_key() {
    for dialect in [Dialect::SMB2_02, Dialect::SMB2_10] {
        let session = SessionKey::new(&hex("000102030405060708090A0B0C0D0E0F1011"));
        let keys = KeySet::derive(dialect, None, SigningAlgorithm::HmacSha256, &session, None);
        assert!(signs_with(&keys.signing, "000102030405060708090A0B0C0D0E0F"));
        assert_eq!(keys.application[..], hex("000102030405060708090A0B0C0D0E0F"));
    }
}

#[test]
fn keys_of_256_bits_come_from_the_whole_session_key() {
    let derive = |key: &[u8]| {
        let hash = PreauthHash::new();
        let signing = SigningAlgorithm::AesGmac;
        let key = SessionKey::new(key);
        KeySet::derive(Dialect::SMB3_11, Some(Cipher::Aes256Gcm), signing, &key, Some(&hash))
    };
    let (a, b) = (derive(&[1; 16]), derive(&[[1; 16], [2; 16]].concat()));
    assert_eq!(a.application, b.application);
    let (mut header, mut payload) = ([0; 52], [0; 5]);
    a.server_out.unwrap().seal(&mut header, &mut payload, [0; 16]);
    assert_eq!(b.server_out.unwrap().open(&header, &mut payload), Err(Forged));
}

/// "Encryption in SMB 3.0: A protocol perspective": a WRITE and its answer.
#[test]
fn a_message_of_3_0_is_sealed_and_opened_as_published() {
    let keys = KeySet::derive(
        Dialect::SMB3_00,
        Some(Cipher::Aes128Ccm),
        SigningAlgorithm::AesCmac,
        &SessionKey::new(&hex("B4546771B515F766A86735532DD6C4F0")),
        None,
    );
    assert!(seals_with(&keys.server_in, "261B72350558F2E9DCF613070383EDBF"));
    assert!(seals_with(&keys.server_out, "8FE2B57EC34D2DB5B1A9727F526BBDB5"));
    published_exchange(
        &keys,
        "66E69A111892584FB5ED524A744DA3EE",
        "FE534D4240000100000000000900400008000000000000000400000000000000\
         FFFE0000010000001100001400E4080000000000000000000000000000000000\
         3100700017000000000000000000000015010000390000020100000039020000\
         00000000000000007000000000000000536D623320656E6372797074696F6E20\
         74657374696E67",
        "FD534D4281A286535415445DAE393921E44FA42E66E69A111892584FB5ED524A\
         744DA3EE87000000000001001100001400E4080025C8FEE16605A437832D1CD5\
         2DA9F4645333482A175FE5384563F45FCDAFAEF38BC62BA4D5C62897996625A4\
         4C29BE5658DE2E6117585779E7B59FFD971278D08580D7FA899E410E910EABF5\
         AA1DB43050B33B49182637759AC15D84BFCDF5B6B238993C0F4CF4D6012023F6\
         C627297075D84B7803912D0A9639634453595EF3E33FFE4E7AC2AB",
        "FD534D42A6015530A18F6D9AFFE22AFAE8E66484860000000000000011000014\
         00E4080050000000000001001100001400E40800DBF46435C5F14169293CE079\
         E344479BF670227E49873F458672C3098DAC467DD5809F369D67409166515787\
         1483E01F7BECD02064EAC3E235F913668BBC2F097980D4B378F1993EFF6E60D1\
         77309E5B",
        "FE534D4240000100000000000900210009000000000000000400000000000000\
         FFFE0000010000001100001400E4080000000000000000000000000000000000\
         11000000170000000000000000000000",
    );
}

/// "SMB 3.1.1 Encryption in Windows 10": the same with GCM.
#[test]
fn a_message_of_3_1_1_is_sealed_and_opened_as_published() {
    let hash = hex("B23F3CBFD69487D9832B79B1594A367CDD950909B774C3A4C412B4FCEA9EDDDBA7DB256BA2EA30E9\
                    77F11F9B113247578E0E915C6D2A513B8F2FCA5707DC8770");
    let keys = KeySet::derive(
        Dialect::SMB3_11,
        Some(Cipher::Aes128Gcm),
        SigningAlgorithm::AesCmac,
        &SessionKey::new(&hex("419FDDF34C1E001909D362AE7FB6AF79")),
        Some(&PreauthHash::from_bytes(hash.try_into().unwrap())),
    );
    assert!(seals_with(&keys.server_in, "A2F5E80E5D59103034F32E52F698E5EC"));
    assert!(seals_with(&keys.server_out, "748C50868C90F302962A5C35F5F9A8BF"));
    published_exchange(
        &keys,
        "C7D6822D269CAF48904C664C00000000",
        "FE534D4240000100000000000900010008000000000000000500000000000000FFFE000001000000\
         25000000001000000000000000000000000000000000000031007000170000000000000000000000\
         0600000004000000010000000400000000000000000000007000000000000000536D623320656E63\
         72797074696F6E2074657374696E67",
        "FD534D42BD73D97D2BC9001BCAFAC0FDFF5FEEBCC7D6822D269CAF48904C664C0000000087000000\
         0000010025000000001000006ECDD2A7AFC7B47763057A041B8FD4DAFFE990B70C9E09D36C084E02\
         D14EF247F8BDE38ACF6256F8B1D3B56F77FBDEB312FEA5E92CBCC1ED8FB2EBBFAA75E49A4A394BB4\
         4576545567C24D4C014D47C9FBDFDAFD2C4F9B72F8D256452620A299F48E29E53D6B61D1C13A19E9\
         1AF013F00D17E3ABC2FC3D36C8C1B6B93973253852DBD442E46EE8",
        "FD534D42ACBE1CB7ED343ADF1725EF144D90D4B0E06831DD2E8EB7B4000000000000000050000000\
         00000100250000000010000026BBBF949983A6C1C796559D0F2C510CB651D1F7B6AC8DED32A2A0B8\
         F2D793A815C6F6B848D69767A215841A42D400AE6DDB5F0B44173A014973321FDD7950DA6179159B\
         82E03C9E18A050FF0EA1C967",
        "FE534D4240000100000000000900010001000000000000000500000000000000FFFE000001000000\
         25000000001000000000000000000000000000000000000011000000170000000000000000000000",
    );
}

fn published_exchange(keys: &KeySet, nonce: &str, request: &str, sealed: &str, answer: &str, opened: &str) {
    let sealed = hex(sealed);
    let mut header: [u8; 52] = sealed[..52].try_into().unwrap();
    header[4..36].fill(0);
    let mut payload = hex(request);
    keys.server_in.as_ref().unwrap().seal(&mut header, &mut payload, array(nonce));
    assert_eq!([&header[..], &payload[..]].concat(), sealed);

    let answer = hex(answer);
    let mut header: [u8; 52] = answer[..52].try_into().unwrap();
    let mut payload = answer[52..].to_vec();
    let key = keys.server_out.as_ref().unwrap();
    key.open(&header, &mut payload).unwrap();
    assert_eq!(payload, hex(opened));
    let mut payload = answer[52..].to_vec();
    header[40] ^= 1;
    assert_eq!(key.open(&header, &mut payload), Err(Forged));
    assert!(payload.iter().all(|&b| b == 0));
}

/// RFC 4493 section 4.
#[test]
fn cmac_of_rfc_4493() {
    let key = array("2b7e151628aed2a6abf7158809cf4f3c");
    let message = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                       30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
    for (len, tag) in [
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
        (64, "51f0bebf7e3b9d92fc49741779363cfe"),
    ] {
        assert_eq!(backend::Cmac::new(&key).tag(&message[..len])[..], hex(tag));
        assert_eq!(reference::Cmac::new(&key).tag(&message[..len])[..], hex(tag));
    }
}

/// RFC 3610 packet vector 1. Its nonce and tag are not SMB's, so it speaks for the crate; our own CCM is held to
/// the crate and to the published SMB message.
#[test]
fn ccm_of_rfc_3610() {
    use ccm::aead::{AeadInOut, KeyInit, consts};
    let key: [u8; 16] = array("C0C1C2C3C4C5C6C7C8C9CACBCCCDCECF");
    let ccm = ccm::Ccm::<aes::Aes128, consts::U8, consts::U13>::new(&key.into());
    let mut data = hex("08090A0B0C0D0E0F101112131415161718191A1B1C1D1E");
    let nonce: [u8; 13] = array("00000003020100A0A1A2A3A4A5");
    let tag =
        ccm.encrypt_inout_detached(&nonce.into(), &hex("0001020304050607"), (&mut data[..]).into()).unwrap();
    assert_eq!(data, hex("588C979A61C663D2F066D0C2C0F989806D5F6B61DAC384"));
    assert_eq!(tag[..], hex("17E8D12CFDF926E0"));
}

/// The GCM specification's test cases 1, 4 and 16.
#[test]
fn gcm_of_its_specification() {
    assert_eq!(backend::Gmac::new(&[0; 16]).tag(&[0; 12], &[])[..], hex("58e2fccefa7e3061367f1d57a4e7455a"));
    let plain = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                     1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let nonce = array("cafebabefacedbaddecaf88800000000");
    let key = hex("feffe9928665731c6d6a8f9467308308");
    for (cipher, key, sealed, tag) in [
        (
            Cipher::Aes128Gcm,
            key.clone(),
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
             21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
            "5bc94fbc3221a5db94fae95ae7121a47",
        ),
        (
            Cipher::Aes256Gcm,
            [&key[..], &key[..]].concat(),
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ),
    ] {
        let mut data = plain.clone();
        assert_eq!(backend::Aead::new(cipher, &key).seal(&nonce, &aad, &mut data)[..], hex(tag));
        assert_eq!(data, hex(sealed));
        let mut data = plain.clone();
        assert_eq!(reference::Aead::new(cipher, &key).seal(&nonce, &aad, &mut data)[..], hex(tag));
        assert_eq!(data, hex(sealed));
    }
}

#[test]
fn hmac_signing_is_the_first_half_of_hmac_sha256() {
    // RFC 4231 test case 2 has a short key, so compute: HMAC-SHA256 of 64 zeros under a zero key.
    use hmac::{Hmac, KeyInit, Mac};
    let mut message = [0; 64];
    SigningKey::new(SigningAlgorithm::HmacSha256, &[0; 16]).sign(&mut message, Sender::Client);
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&[]).unwrap();
    mac.update(&[0; 64]);
    assert_eq!(message[48..], mac.finalize().into_bytes()[..16]);
}

#[test]
fn gmac_knows_who_sends_and_what_cancels() {
    let key = SigningKey::new(SigningAlgorithm::AesGmac, &[3; 16]);
    let mut message = [0; 80];
    message[24] = 9;
    key.sign(&mut message, Sender::Client);
    let request = message;
    assert!(key.verify(&mut message, Sender::Client));
    assert_eq!(message, request, "verifying leaves the message as it was");
    assert!(!key.verify(&mut message, Sender::Server));
    let tag = |nonce: &str| {
        reference::Gmac::new(&[3; 16]).tag(&array(nonce), &{
            let mut zeroed = request;
            zeroed[48..64].fill(0);
            zeroed
        })
    };
    assert_eq!(request[48..64], tag("090000000000000000000000"));
    key.sign(&mut message, Sender::Server);
    assert_eq!(message[48..64], tag("090000000000000001000000"));

    let mut cancel = [0; 64];
    cancel[12] = 0x0C;
    key.sign(&mut cancel, Sender::Client);
    let expected = reference::Gmac::new(&[3; 16]).tag(&array("000000000000000002000000"), &{
        let mut zeroed = cancel;
        zeroed[48..64].fill(0);
        zeroed
    });
    assert_eq!(cancel[48..64], expected);
}

#[test]
fn what_is_no_message_does_not_verify() {
    for algorithm in [SigningAlgorithm::HmacSha256, SigningAlgorithm::AesCmac, SigningAlgorithm::AesGmac] {
        let key = SigningKey::new(algorithm, &[3; 16]);
        for len in 0..64 {
            assert!(!key.verify(&mut vec![0; len], Sender::Client));
        }
    }
}

fn random(n: usize) -> Vec<u8> {
    let mut out = vec![0; n];
    getrandom::fill(&mut out).unwrap();
    out
}

/// Every length around the block and chunk sizes, and some long ones.
fn lengths() -> impl Iterator<Item = usize> {
    (0..600).chain(2030..2070).chain(4090..4120).chain([65_536, 65_553, 1_048_576, 1_048_599])
}

#[cfg(feature = "aws-lc")]
mod equality {
    use super::*;

    #[test]
    fn macs() {
        let key: [u8; 16] = random(16).try_into().unwrap();
        let (cmac, gmac) = (quick::Cmac::new(&key), quick::Gmac::new(&key));
        let (cmac_ref, gmac_ref) = (reference::Cmac::new(&key), reference::Gmac::new(&key));
        for len in lengths() {
            let message = random(len);
            assert_eq!(cmac.tag(&message), cmac_ref.tag(&message), "CMAC of {len}");
            let nonce = random(12).try_into().unwrap();
            assert_eq!(gmac.tag(&nonce, &message), gmac_ref.tag(&nonce, &message), "GMAC of {len}");
        }
    }

    #[test]
    fn ciphers() {
        for cipher in [Cipher::Aes128Ccm, Cipher::Aes128Gcm, Cipher::Aes256Ccm, Cipher::Aes256Gcm] {
            let key = random(cipher.key_len());
            let (quick, reference) = (quick::Aead::new(cipher, &key), reference::Aead::new(cipher, &key));
            for len in lengths() {
                let (plain, aad): (_, [u8; 32]) = (random(len), random(32).try_into().unwrap());
                let nonce = random(16).try_into().unwrap();
                let (mut a, mut b) = (plain.clone(), plain.clone());
                let tag = quick.seal(&nonce, &aad, &mut a);
                assert_eq!(tag, reference.seal(&nonce, &aad, &mut b), "{cipher:?} of {len}");
                assert_eq!(a, b, "{cipher:?} of {len}");
                assert!(quick.open(&nonce, &aad, &mut a, &tag));
                assert!(reference.open(&nonce, &aad, &mut b, &tag));
                assert_eq!((&a, &b), (&plain, &plain));
                let mut bad = tag;
                bad[len % 16] ^= 0x10;
                assert!(!quick.open(&nonce, &aad, &mut a, &bad));
                assert!(!reference.open(&nonce, &aad, &mut b, &bad));
            }
        }
    }

    /// Whatever this processor would choose.
    #[test]
    fn every_library() {
        use quick::gcm::{Gcm, Gmac};
        let key: [u8; 16] = random(16).try_into().unwrap();
        let gmac_ref = reference::Gmac::new(&key);
        let gmacs: Vec<Gmac> =
            [Some(Gmac::Aws(Gcm::by_aws(&key))), Gmac::by_ghash(&key)].into_iter().flatten().collect();
        for len in lengths() {
            let message = random(len);
            let nonce = random(12).try_into().unwrap();
            for gmac in &gmacs {
                assert_eq!(gmac.tag(&nonce, &message), gmac_ref.tag(&nonce, &message), "GMAC of {len}");
            }
        }
        for cipher in [Cipher::Aes128Gcm, Cipher::Aes256Gcm] {
            let key = random(cipher.key_len());
            let (aws, ring) = (Gcm::by_aws(&key), Gcm::by_ring(&key));
            for len in lengths() {
                let (plain, aad) = (random(len), random(32));
                let nonce = random(12).try_into().unwrap();
                let (mut a, mut b) = (plain.clone(), plain.clone());
                let tag = aws.seal(&nonce, &aad, &mut a);
                assert_eq!(tag, ring.seal(&nonce, &aad, &mut b), "{cipher:?} of {len}");
                assert_eq!(a, b, "{cipher:?} of {len}");
                let mut bad = tag;
                bad[len % 16] ^= 0x10;
                for gcm in [&aws, &ring] {
                    let mut open = a.clone();
                    assert!(gcm.open(&nonce, &aad, &mut open, &tag));
                    assert_eq!(open, plain);
                    assert!(!gcm.open(&nonce, &aad, &mut a.clone(), &bad));
                }
            }
        }
    }

    #[test]
    fn associated_data_of_any_length() {
        for len in 1..=46 {
            let (key, aad, plain) = (random(16), random(len), random(50));
            let (mut a, mut b) = (plain.clone(), plain);
            let tag = quick::Aead::new(Cipher::Aes128Ccm, &key).seal(&[7; 16], &aad, &mut a);
            assert_eq!(tag, reference::Aead::new(Cipher::Aes128Ccm, &key).seal(&[7; 16], &aad, &mut b));
            assert_eq!(a, b);
        }
    }
}

/// Speeds of this machine: `cargo test --release --lib crypto::tests::speed -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn speed() {
    fn measure(what: &str, len: usize, mut f: impl FnMut()) {
        let rounds = (200_000_000 / (len + 200)).max(1);
        let start = std::time::Instant::now();
        (0..rounds).for_each(|_| f());
        let each = start.elapsed().as_secs_f64() / rounds as f64;
        println!("{what:24} {len:8} {:8.0} ns {:6.2} GB/s", each * 1e9, len as f64 / each / 1e9);
    }
    for len in [128, 4096, 65_536, 1_048_576] {
        let mut message = vec![1; len];
        let mut sign = |what, tag: &dyn Fn(&[u8]) -> [u8; 16]| {
            measure(what, len, || {
                message[0] = tag(&message)[0];
            });
        };
        let (cmac, reference) = (backend::Cmac::new(&[1; 16]), reference::Cmac::new(&[1; 16]));
        sign("CMAC", &|m| cmac.tag(m));
        sign("CMAC reference", &|m| reference.tag(m));
        #[cfg(feature = "aws-lc")]
        {
            let key = aws_lc_rs::cmac::Key::new(aws_lc_rs::cmac::AES_128, &[1; 16]).unwrap();
            sign("CMAC aws-lc", &|m| aws_lc_rs::cmac::sign(&key, m).unwrap().as_ref().try_into().unwrap());
        }
        let (gmac, reference) = (backend::Gmac::new(&[1; 16]), reference::Gmac::new(&[1; 16]));
        sign("GMAC", &|m| gmac.tag(&[1; 12], m));
        sign("GMAC reference", &|m| reference.tag(&[1; 12], m));
        let mut copied = vec![0; len];
        let mut copy = || gmac.copy(message[..].into(), &mut copied);
        if let Some(part) = copy() {
            measure("GMAC and copy", len, || _ = copy());
            measure("GMAC joined", len, || _ = gmac.tag_joined(&[1; 12], &[1; 80], &part));
        }
        let hmac = SigningKey::new(SigningAlgorithm::HmacSha256, &[1; 16]);
        measure("HMAC-SHA256", len, || hmac.sign(&mut message, Sender::Server));
        for cipher in [Cipher::Aes128Ccm, Cipher::Aes128Gcm, Cipher::Aes256Ccm, Cipher::Aes256Gcm] {
            let key = vec![1; cipher.key_len()];
            let (quick, reference) = (backend::Aead::new(cipher, &key), reference::Aead::new(cipher, &key));
            measure(&format!("{cipher:?}"), len, || _ = quick.seal(&[1; 16], &[2; 32], &mut message));
            let what = format!("{cipher:?} reference");
            measure(&what, len, || _ = reference.seal(&[1; 16], &[2; 32], &mut message));
            let mut copy = || quick.seal_copy(&[1; 16], 80, message[..].into(), &mut copied);
            if let Some(part) = copy() {
                measure(&format!("{cipher:?} and copy"), len, || _ = copy());
                let what = format!("{cipher:?} joined");
                measure(&what, len, || _ = quick.seal_joined(&[1; 16], &[2; 32], &mut [3; 80], &part));
            }
        }
    }
}
