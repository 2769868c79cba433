/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32 of constants, and whether pointers among them still point where they did. */
#include "ptee_runtime.h"

/* Polynomial 0x04C11DB7 reflected, initial value and final inversion of all bits: as zlib, gzip and IEEE 802.3. */
static uint32_t crc32(uint32_t crc, const volatile uint8_t *bytes, uint32_t nbytes)
{
    static const uint32_t nibbles[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
        0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };
    crc = ~crc;
    for (uint32_t i = 0; i < nbytes; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ nibbles[crc & 15u];
        crc = (crc >> 4) ^ nibbles[crc & 15u];
    }
    return ~crc;
}

ptee_status ptee_check(const ptee_check_t *check)
{
    for (uint32_t i = 0; i < check->link_count; i++) {
        /* By bytes and volatile: the pointers are constants, which a compiler would compare itself. */
        const volatile uint8_t *const is = check->links[i].at;
        const volatile uint8_t *const should = (const volatile uint8_t *)&check->links[i].to;
        for (uint32_t j = 0; j < sizeof check->links[i].to; j++) {
            if (is[j] != should[j]) {
                return PTEE_CORRUPT;
            }
        }
    }
    uint32_t crc = 0;
    for (uint32_t i = 0; i < check->span_count; i++) {
        crc = crc32(crc, check->spans[i].bytes, check->spans[i].nbytes);
    }
    return crc == check->crc ? PTEE_OK : PTEE_CORRUPT;
}
