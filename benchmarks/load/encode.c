/* encode: mono 16-bit samples at 48 kHz on standard input, a file of encoded frames out (frames.h).
 *
 * usage: encode opus|pcmu BITRATE FEC OUT <SAMPLES      FEC: 0 or 1, in-band error correction for 10 % loss */
#include <opus/opus.h>

#include "frames.h"

static uint8_t mulaw(int sample)
{
    int sign = sample < 0 ? 0x80 : 0;
    int magnitude = abs(sample) > 32635 ? 32635 + 132 : abs(sample) + 132;
    int exponent = 7;
    while (exponent > 0 && !(magnitude & (0x80 << exponent)))
        exponent--;
    return (uint8_t)~(sign | exponent << 4 | (magnitude >> (exponent + 3) & 15));
}

static uint8_t level_of(const int16_t *samples)
{
    double energy = 0, level;
    for (int i = 0; i < FRAME; i++)
        energy += (double)samples[i] * samples[i];
    if (energy == 0)
        return 127;
    level = -10 * log10(energy / FRAME / 1073741824.0);
    return (uint8_t)(level < 0 ? 0 : level > 127 ? 127 : level + 0.5);
}

int main(int argc, char **argv)
{
    struct frames frames = {0};
    int16_t samples[FRAME];
    int error;
    if (argc != 5 || (strcmp(argv[1], "opus") && strcmp(argv[1], "pcmu"))) {
        fputs("usage: encode opus|pcmu BITRATE FEC OUT <SAMPLES\n", stderr);
        return 2;
    }
    OpusEncoder *encoder = opus_encoder_create(RATE, 1, OPUS_APPLICATION_VOIP, &error);
    if (!encoder || opus_encoder_ctl(encoder, OPUS_SET_BITRATE(atoi(argv[2]))) != OPUS_OK) {
        fputs("encode: Opus refuses\n", stderr);
        return 1;
    }
    opus_encoder_ctl(encoder, OPUS_SET_INBAND_FEC(atoi(argv[3])));
    opus_encoder_ctl(encoder, OPUS_SET_PACKET_LOSS_PERC(atoi(argv[3]) ? 10 : 0));
    frames.codec = strcmp(argv[1], "opus") ? CODEC_PCMU : CODEC_OPUS;
    while (fread(samples, sizeof samples, 1, stdin) == 1) {
        frames.frame = realloc(frames.frame, (frames.count + 1) * sizeof(struct frame));
        if (!frames.frame)
            fail("encode");
        struct frame *frame = &frames.frame[frames.count++];
        frame->level = level_of(samples);
        frame->voice = frame->level < 50;
        if (frames.codec == CODEC_OPUS) {
            int length = opus_encode(encoder, samples, FRAME, frame->payload, LONGEST_PAYLOAD);
            if (length < 0) {
                fprintf(stderr, "encode: %s\n", opus_strerror(length));
                return 1;
            }
            frame->length = (uint16_t)length;
        } else {
            frame->length = 160;
            for (int i = 0; i < 160; i++) {
                int sum = 0;
                for (int k = 0; k < 6; k++)
                    sum += samples[6 * i + k];
                frame->payload[i] = mulaw(sum / 6);
            }
        }
    }
    frames_write(&frames, argv[4]);
    return 0;
}
