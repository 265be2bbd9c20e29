/* os/failure.h - errno of a call on a socket as one of our errors; internal to this folder */
#ifndef GH_OS_FAILURE_H
#define GH_OS_FAILURE_H

/* GH_ERR_SYSTEM when errno says nothing that a caller acts upon. */
int gh_os_failure(void);

#endif
