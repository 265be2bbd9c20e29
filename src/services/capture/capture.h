/* services/capture/capture.h - what programs on this machine send, into tunnels: see README.md */
#ifndef GH_SERVICES_CAPTURE_CAPTURE_H
#define GH_SERVICES_CAPTURE_CAPTURE_H

#include "core/lifecycle.h"

extern const struct gh_service gh_service_capture;

#endif
