"""Audio between peers: ICE, DTLS-SRTP, the media plane, files and tones. The only place with aioice and aiortc."""
