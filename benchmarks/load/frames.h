/* Files of encoded frames of 20 ms, written by encode.c and played by rtpload.c.
 *
 * 8 bytes "FRAMES20", then uint32 codec, uint32 count, then of each frame uint16 length, uint8 level (-dBov, RFC 6464),
 * uint8 voice, the payload. Numbers are in the machine's byte order: the files live for one run. */
#ifndef FRAMES_H
#define FRAMES_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RATE 48000
#define FRAME 960
#define LONGEST_PAYLOAD 400

enum codec { CODEC_OPUS, CODEC_PCMU };

struct frame {
    uint16_t length;
    uint8_t level;
    uint8_t voice;
    uint8_t payload[LONGEST_PAYLOAD];
};

struct frames {
    enum codec codec;
    uint32_t count;
    struct frame *frame;
};

__attribute__((noreturn, unused)) static void fail(const char *what)
{
    perror(what);
    exit(1);
}

__attribute__((unused)) static void frames_write(const struct frames *frames, const char *path)
{
    uint32_t header[2] = {frames->codec, frames->count};
    FILE *file = fopen(path, "wb");
    if (!file || fwrite("FRAMES20", 8, 1, file) != 1 || fwrite(header, sizeof header, 1, file) != 1)
        fail(path);
    for (uint32_t i = 0; i < frames->count; i++)
        if (fwrite(&frames->frame[i], 4u + frames->frame[i].length, 1, file) != 1)
            fail(path);
    if (fclose(file))
        fail(path);
}

__attribute__((unused)) static struct frames frames_read(const char *path)
{
    struct frames frames;
    uint32_t header[2];
    char magic[8];
    FILE *file = fopen(path, "rb");
    if (!file)
        fail(path);
    if (fread(magic, 8, 1, file) != 1 || memcmp(magic, "FRAMES20", 8) || fread(header, sizeof header, 1, file) != 1)
        goto broken;
    frames.codec = header[0];
    frames.count = header[1];
    frames.frame = calloc(frames.count, sizeof(struct frame));
    if (!frames.count || !frames.frame)
        goto broken;
    for (uint32_t i = 0; i < frames.count; i++) {
        struct frame *frame = &frames.frame[i];
        if (fread(frame, 4, 1, file) != 1 || frame->length > LONGEST_PAYLOAD ||
            (frame->length && fread(frame->payload, frame->length, 1, file) != 1))
            goto broken;
    }
    fclose(file);
    return frames;
broken:
    fprintf(stderr, "%s: not a file of frames\n", path);
    exit(1);
}

#endif
